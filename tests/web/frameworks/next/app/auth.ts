// In place of an OIDC client.
export const getCallerToken = () => sessionStorage.getItem("id_token");
