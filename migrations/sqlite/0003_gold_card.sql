-- Gold cards: providers who need not ask for certain services. Same tables, columns and indexes as
-- migrations/postgres/0003_gold_card.sql. Rows are ended, never deleted.

CREATE TABLE gold_card (
    id BLOB NOT NULL PRIMARY KEY,
    npi TEXT NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    line TEXT NOT NULL,
    starts TEXT NOT NULL,
    ends TEXT,
    evidence TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at TEXT NOT NULL,
    ended_by TEXT,
    ended_at TEXT,
    ended_why TEXT
) STRICT;
CREATE INDEX gold_card_npi ON gold_card (npi);
