export const environment = { tokenUrl: "/token" };
