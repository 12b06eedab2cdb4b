-- The log of publications, the public list of each, and proposals that wait for a second person. Same number, name,
-- tables, columns and indexes as migrations/sqlite/0002_publication.sql; a test compares the two. policy_set.files holds
-- [path, text] pairs; since this migration the paths begin with rules/ or questionnaires/, and its `published` is when
-- the set was stored first.

CREATE TABLE public_list (
    hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    doc TEXT COMPRESSION lz4 NOT NULL,
    created TIMESTAMPTZ NOT NULL
);

CREATE TABLE publication (
    id UUID NOT NULL PRIMARY KEY,
    number BIGINT NOT NULL,
    set_hash TEXT COLLATE "C" NOT NULL REFERENCES policy_set (hash),
    list_hash TEXT COLLATE "C" NOT NULL REFERENCES public_list (hash),
    at TIMESTAMPTZ NOT NULL,
    how TEXT NOT NULL,
    proposed_by UUID REFERENCES person (id),
    confirmed_by UUID REFERENCES person (id)
);
CREATE UNIQUE INDEX publication_number ON publication (number);
CREATE INDEX publication_at ON publication (at);

CREATE TABLE proposal (
    id UUID NOT NULL PRIMARY KEY,
    set_hash TEXT COLLATE "C" NOT NULL REFERENCES policy_set (hash),
    base BIGINT NOT NULL,
    state TEXT NOT NULL,
    proposed_by UUID NOT NULL REFERENCES person (id),
    proposed TIMESTAMPTZ NOT NULL,
    closed_by UUID REFERENCES person (id),
    closed TIMESTAMPTZ
);
CREATE UNIQUE INDEX proposal_pending ON proposal (state) WHERE state = 'pending';
