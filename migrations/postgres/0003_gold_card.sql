-- Gold cards: providers who do not need prior authorization for certain services. Tables, columns and indexes are the
-- same as in migrations/sqlite/0003_gold_card.sql. Rows are ended, never deleted.

CREATE TABLE gold_card (
    id UUID NOT NULL PRIMARY KEY,
    npi TEXT COLLATE "C" NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    line_of_business TEXT COLLATE "C" NOT NULL,
    starts DATE NOT NULL,
    ends DATE,
    evidence TEXT COLLATE "C" NOT NULL,
    added_by TEXT COLLATE "C" NOT NULL,
    added_at TIMESTAMPTZ NOT NULL,
    ended_by TEXT COLLATE "C",
    ended_at TIMESTAMPTZ,
    end_reason TEXT COLLATE "C"
);
CREATE INDEX gold_card_npi ON gold_card (npi);
