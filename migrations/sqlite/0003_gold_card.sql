-- Gold cards: providers who do not need prior authorization for certain services. Tables, columns and indexes are the
-- same as in migrations/postgres/0003_gold_card.sql. Rows are ended, never deleted.

CREATE TABLE gold_card (
    id BLOB NOT NULL PRIMARY KEY,
    npi TEXT NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    line_of_business TEXT NOT NULL,
    starts TEXT NOT NULL,
    ends TEXT,
    evidence TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at TEXT NOT NULL,
    ended_by TEXT,
    ended_at TEXT,
    end_reason TEXT
) STRICT;
CREATE INDEX gold_card_npi ON gold_card (npi);
