-- The log of who opened which case. Tables, columns and indexes are the same as in
-- migrations/postgres/0004_evidence_and_access.sql. Rows are deleted after six years.

CREATE TABLE access_log (
    id BLOB NOT NULL PRIMARY KEY,
    at TEXT NOT NULL,
    staff BLOB NOT NULL REFERENCES staff_member (id),
    role TEXT NOT NULL,
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    case_number TEXT NOT NULL,
    member BLOB NOT NULL REFERENCES member (id),
    address TEXT
) STRICT;
CREATE INDEX access_log_at ON access_log (at, id);
CREATE INDEX access_log_staff ON access_log (staff, at, id);
CREATE INDEX access_log_case ON access_log (case_id, at, id);
CREATE INDEX access_log_member ON access_log (member, at, id);

-- The origins from which the browser apps of a client call, copied from its registration.
CREATE TABLE client_origin (
    origin TEXT NOT NULL,
    client BLOB NOT NULL REFERENCES client (id),
    PRIMARY KEY (origin, client)
) STRICT;
CREATE INDEX client_origin_client ON client_origin (client);

-- Member and subscriber numbers as they are compared: letters and digits in upper case.
ALTER TABLE member ADD COLUMN folded_member_id TEXT NOT NULL DEFAULT '';
UPDATE member SET folded_member_id = upper(replace(replace(member_id, '-', ''), ' ', ''));
CREATE INDEX member_folded_member_id ON member (folded_member_id);
ALTER TABLE coverage ADD COLUMN folded_subscriber_id TEXT;
UPDATE coverage SET folded_subscriber_id = upper(replace(replace(subscriber_id, '-', ''), ' ', ''));
DROP INDEX coverage_subscriber_id;
CREATE INDEX coverage_folded_subscriber_id ON coverage (folded_subscriber_id);

-- Cases that must not be deleted, for example because of litigation, until the hold is ended.
CREATE TABLE legal_hold (
    id BLOB NOT NULL PRIMARY KEY,
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    reason TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at TEXT NOT NULL,
    ended_by TEXT,
    ended_at TEXT
) STRICT;
CREATE INDEX legal_hold_case_id ON legal_hold (case_id);
CREATE UNIQUE INDEX legal_hold_open ON legal_hold (case_id) WHERE ended_at IS NULL;
