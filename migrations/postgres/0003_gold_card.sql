-- Gold cards: providers who need not ask for certain services. Same tables, columns and indexes as
-- migrations/sqlite/0003_gold_card.sql. Rows are ended, never deleted.

CREATE TABLE gold_card (
    id UUID NOT NULL PRIMARY KEY,
    npi TEXT COLLATE "C" NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    line TEXT COLLATE "C" NOT NULL,
    starts DATE NOT NULL,
    ends DATE,
    evidence TEXT COLLATE "C" NOT NULL,
    added_by TEXT COLLATE "C" NOT NULL,
    added_at TIMESTAMPTZ NOT NULL,
    ended_by TEXT COLLATE "C",
    ended_at TIMESTAMPTZ,
    ended_why TEXT COLLATE "C"
);
CREATE INDEX gold_card_npi ON gold_card (npi);
