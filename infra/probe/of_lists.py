"""What the list of users shows: its rows, and whether it has pages."""

from token_vendor.paging import Page

from infra.probe.questions import Found, Record, names, question

MEMBERS = {"id", "first_name", "last_name", "email", "account_status"}


@question("list", "The key lists users.")
def _list(record: Record) -> Found:
    listed = record["list"]
    if listed.rows is not None:
        return True, f"{len(listed.rows)} people in the first answer", listed
    if listed.refused:
        return False, f"answered {listed.status}", listed
    return None, "the answer is no list", listed


@question("list-members", "A row has id, first_name, last_name, email and account_status.")
def _members(record: Record) -> Found:
    rows = record["list"].people
    if not rows:
        return None, "nobody is listed", record["list"]
    if missing := {name for name in MEMBERS if any(name not in row for row in rows)}:
        return False, f"without {names(missing)}", record["list"]
    more = {name for row in rows for name in row} - MEMBERS
    return True, f"and {names(more)}" if more else "no other members", record["list"]


@question("paging", "The list's pages go by number: page=2, page=3.")
def _paging(record: Record) -> Found:
    listed = record.whole.ids
    second = record["page-2"]
    if not listed:
        return None, "nobody is listed", record.whole
    following = Page().after(record.whole.body, record.whole.header("Link") or "")
    if following and following.named:
        return False, "the answer names its next page; the service follows it", record.whole
    others = second.ids and not set(second.ids) & set(listed)
    if following and following.promised and not others:
        return False, "there is more, and no answer names it", record.whole, second
    if others:
        return True, "page=2 brings other people", record.whole, second
    if second.rows == []:
        return True, "a page after the last one is empty", record.whole, second
    return None, "no answer shows a second page", record.whole, second
