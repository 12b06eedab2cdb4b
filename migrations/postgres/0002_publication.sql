-- The publication log, the public list of each publication, and proposals that wait for a second person. Tables,
-- columns and indexes are the same as in migrations/sqlite/0002_publication.sql; a test compares the two. The column
-- policy_set.files holds a JSON array of [path, text] pairs; paths begin with rules/ or questionnaires/.

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
    method TEXT NOT NULL,
    proposed_by UUID REFERENCES staff_member (id),
    confirmed_by UUID REFERENCES staff_member (id)
);
CREATE UNIQUE INDEX publication_number ON publication (number);
CREATE INDEX publication_at ON publication (at);

CREATE TABLE proposal (
    id UUID NOT NULL PRIMARY KEY,
    set_hash TEXT COLLATE "C" NOT NULL REFERENCES policy_set (hash),
    base BIGINT NOT NULL,
    state TEXT NOT NULL,
    proposed_by UUID NOT NULL REFERENCES staff_member (id),
    proposed_at TIMESTAMPTZ NOT NULL,
    closed_by UUID REFERENCES staff_member (id),
    closed_at TIMESTAMPTZ
);
CREATE UNIQUE INDEX proposal_pending ON proposal (state) WHERE state = 'pending';
