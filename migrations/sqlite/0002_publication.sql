-- The publication log, the public list of each publication, and proposals that wait for a second person. Tables,
-- columns and indexes are the same as in migrations/postgres/0002_publication.sql; a test compares the two. The column
-- policy_set.files holds a JSON array of [path, text] pairs; paths begin with rules/ or questionnaires/.

CREATE TABLE public_list (
    hash TEXT NOT NULL PRIMARY KEY,
    doc TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;

CREATE TABLE publication (
    id BLOB NOT NULL PRIMARY KEY,
    number INTEGER NOT NULL,
    set_hash TEXT NOT NULL REFERENCES policy_set (hash),
    list_hash TEXT NOT NULL REFERENCES public_list (hash),
    at TEXT NOT NULL,
    method TEXT NOT NULL,
    proposed_by BLOB REFERENCES staff_member (id),
    confirmed_by BLOB REFERENCES staff_member (id)
) STRICT;
CREATE UNIQUE INDEX publication_number ON publication (number);
CREATE INDEX publication_at ON publication (at);

CREATE TABLE proposal (
    id BLOB NOT NULL PRIMARY KEY,
    set_hash TEXT NOT NULL REFERENCES policy_set (hash),
    base INTEGER NOT NULL,
    state TEXT NOT NULL,
    proposed_by BLOB NOT NULL REFERENCES staff_member (id),
    proposed_at TEXT NOT NULL,
    closed_by BLOB REFERENCES staff_member (id),
    closed_at TEXT
) STRICT;
CREATE UNIQUE INDEX proposal_pending ON proposal (state) WHERE state = 'pending';
