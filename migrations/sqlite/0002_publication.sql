-- The log of publications, the public list of each, and proposals that wait for a second person. Same number, name,
-- tables, columns and indexes as migrations/postgres/0002_publication.sql; a test compares the two. policy_set.files holds
-- [path, text] pairs; since this migration the paths begin with rules/ or questionnaires/, and its `published` is when
-- the set was stored first.

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
    how TEXT NOT NULL,
    proposed_by BLOB REFERENCES person (id),
    confirmed_by BLOB REFERENCES person (id)
) STRICT;
CREATE UNIQUE INDEX publication_number ON publication (number);
CREATE INDEX publication_at ON publication (at);

CREATE TABLE proposal (
    id BLOB NOT NULL PRIMARY KEY,
    set_hash TEXT NOT NULL REFERENCES policy_set (hash),
    base INTEGER NOT NULL,
    state TEXT NOT NULL,
    proposed_by BLOB NOT NULL REFERENCES person (id),
    proposed TEXT NOT NULL,
    closed_by BLOB REFERENCES person (id),
    closed TEXT
) STRICT;
CREATE UNIQUE INDEX proposal_pending ON proposal (state) WHERE state = 'pending';
