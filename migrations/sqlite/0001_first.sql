-- The base schema. Version, name, tables, columns and indexes are the same as in migrations/postgres/0001_first.sql; a
-- test compares the two. Ids are version 7 UUIDs (16 bytes), times RFC 3339 text in UTC, and JSON is text as received.

CREATE TABLE client (
    id BLOB NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    name TEXT NOT NULL,
    doc TEXT NOT NULL,
    issuer TEXT,
    disabled INTEGER NOT NULL,
    created TEXT NOT NULL,
    changed TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX client_client_id ON client (client_id);
CREATE UNIQUE INDEX client_issuer ON client (issuer);

CREATE TABLE staff_member (
    id BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT NOT NULL,
    roles TEXT NOT NULL,
    credential TEXT,
    disabled INTEGER NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX staff_member_username ON staff_member (username);

CREATE TABLE member (
    id BLOB NOT NULL PRIMARY KEY,
    member_id TEXT NOT NULL,
    family TEXT NOT NULL,
    given TEXT NOT NULL,
    birth_date TEXT,
    gender TEXT,
    doc TEXT NOT NULL,
    changed TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX member_member_id ON member (member_id);
CREATE INDEX member_family_birth_date ON member (family, birth_date);

CREATE TABLE member_login (
    id BLOB NOT NULL PRIMARY KEY,
    username TEXT NOT NULL,
    password TEXT NOT NULL,
    member BLOB NOT NULL REFERENCES member (id),
    email TEXT,
    disabled INTEGER NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX member_login_username ON member_login (username);
CREATE INDEX member_login_member ON member_login (member);

CREATE TABLE coverage (
    id BLOB NOT NULL PRIMARY KEY,
    coverage_key TEXT NOT NULL,
    member BLOB NOT NULL REFERENCES member (id),
    plan TEXT NOT NULL,
    line_of_business TEXT NOT NULL,
    state TEXT,
    zone TEXT NOT NULL,
    subscriber_id TEXT,
    status TEXT NOT NULL,
    starts TEXT,
    ends TEXT,
    doc TEXT NOT NULL,
    changed TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX coverage_coverage_key ON coverage (coverage_key);
CREATE INDEX coverage_member ON coverage (member);
CREATE INDEX coverage_subscriber_id ON coverage (subscriber_id);

CREATE TABLE provider (
    id BLOB NOT NULL PRIMARY KEY,
    provider_key TEXT NOT NULL,
    kind TEXT NOT NULL,
    npi TEXT,
    name TEXT NOT NULL,
    email TEXT,
    doc TEXT NOT NULL,
    changed TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX provider_provider_key ON provider (provider_key);
CREATE INDEX provider_npi ON provider (npi);

CREATE TABLE blob (
    id BLOB NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX blob_created ON blob (created) WHERE kind <> 'pas-request';

-- `app_access` says which member apps may read the case, `approval_ends` when its approvals end (RFC 3339, separated by
-- spaces), both for searches that do not read its history.
CREATE TABLE prior_auth (
    id BLOB NOT NULL PRIMARY KEY,
    client BLOB NOT NULL REFERENCES client (id),
    member BLOB NOT NULL REFERENCES member (id),
    coverage BLOB NOT NULL REFERENCES coverage (id),
    request BLOB NOT NULL REFERENCES blob (id),
    line_of_business TEXT NOT NULL,
    status TEXT NOT NULL,
    queue TEXT,
    urgent INTEGER NOT NULL,
    received TEXT NOT NULL,
    due_internal TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed TEXT NOT NULL,
    requester_npi TEXT,
    app_access TEXT NOT NULL,
    approval_ends TEXT NOT NULL
) STRICT;
CREATE INDEX prior_auth_member ON prior_auth (member, id, app_access);
CREATE INDEX prior_auth_client ON prior_auth (client);
CREATE INDEX prior_auth_request ON prior_auth (request);

-- One row for each open case, with everything that the queue shows. Written in the unit of work that changes the case
-- and deleted when the case is decided. `notified` is the last escalation step that staff were notified of.
CREATE TABLE queue_entry (
    case_id BLOB NOT NULL PRIMARY KEY REFERENCES prior_auth (id),
    member BLOB NOT NULL,
    number TEXT NOT NULL,
    line_of_business TEXT NOT NULL,
    status TEXT NOT NULL,
    queue TEXT NOT NULL,
    urgent INTEGER NOT NULL,
    clock TEXT NOT NULL,
    received TEXT NOT NULL,
    due TEXT NOT NULL,
    requester TEXT NOT NULL,
    items INTEGER NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    policy_title TEXT,
    met INTEGER,
    not_met INTEGER,
    unknown INTEGER,
    notified INTEGER NOT NULL
) STRICT;
CREATE INDEX queue_entry_due ON queue_entry (due, received, case_id);
CREATE INDEX queue_entry_group ON queue_entry (status, queue, urgent, line_of_business, clock, due, received, case_id);
CREATE INDEX queue_entry_notified ON queue_entry (clock, notified, due, case_id);

-- How many open cases have the same values of the queue's filters, and how often that changed. The rows of a group are
-- spread over shards, so that units of work seldom wait for each other.
CREATE TABLE queue_count (
    status TEXT NOT NULL,
    queue TEXT NOT NULL,
    urgent INTEGER NOT NULL,
    line_of_business TEXT NOT NULL,
    clock TEXT NOT NULL,
    shard INTEGER NOT NULL,
    open INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    PRIMARY KEY (status, queue, urgent, line_of_business, clock, shard)
) STRICT;

CREATE TABLE item (
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    sequence INTEGER NOT NULL,
    system TEXT NOT NULL,
    code TEXT NOT NULL,
    status TEXT NOT NULL,
    PRIMARY KEY (case_id, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX item_system_code ON item (system, code);

CREATE TABLE event (
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    seq INTEGER NOT NULL,
    at TEXT NOT NULL,
    kind TEXT NOT NULL,
    actor TEXT NOT NULL,
    role TEXT NOT NULL,
    credential TEXT,
    body TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (case_id, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE number_alias (
    number TEXT NOT NULL PRIMARY KEY,
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    kind TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX number_alias_case_id ON number_alias (case_id);

-- `response` is the id of the response Bundle; the response is made again from the case and the request.
CREATE TABLE submission (
    client BLOB NOT NULL REFERENCES client (id),
    key TEXT NOT NULL,
    case_id BLOB NOT NULL REFERENCES prior_auth (id),
    response BLOB NOT NULL,
    created TEXT NOT NULL,
    PRIMARY KEY (client, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX submission_case_id ON submission (case_id);

-- One call of a hook: the call as received without its access token, what was read from the EHR, what may not decide, and
-- the response as sent. The assertions of the call refer to it.
CREATE TABLE hook_call (
    id BLOB NOT NULL PRIMARY KEY,
    client BLOB NOT NULL REFERENCES client (id),
    hook TEXT NOT NULL,
    hook_instance TEXT NOT NULL,
    request TEXT NOT NULL,
    fetched TEXT NOT NULL,
    admission TEXT NOT NULL,
    response TEXT NOT NULL,
    shadow TEXT,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX hook_call_created ON hook_call (created);

CREATE TABLE assertion (
    id TEXT NOT NULL PRIMARY KEY,
    hook_call BLOB NOT NULL REFERENCES hook_call (id),
    client BLOB NOT NULL REFERENCES client (id),
    member BLOB REFERENCES member (id),
    coverage BLOB REFERENCES coverage (id),
    order_ref TEXT NOT NULL,
    coverage_ref TEXT NOT NULL,
    patient_ref TEXT NOT NULL,
    order_json TEXT NOT NULL,
    policy TEXT,
    policy_version TEXT,
    policy_hash TEXT NOT NULL,
    case_document TEXT NOT NULL,
    coverage_information TEXT NOT NULL,
    forms TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
CREATE INDEX assertion_hook_call ON assertion (hook_call);
CREATE INDEX assertion_client ON assertion (client, created);
CREATE INDEX assertion_member ON assertion (member);

-- Messages that leave the server. Those with a line are sent one after another in the order of their numbers; the line
-- is the subscription. Rows without a line are mail.
CREATE TABLE outbox (
    id BLOB NOT NULL PRIMARY KEY,
    case_id BLOB REFERENCES prior_auth (id),
    kind TEXT NOT NULL,
    recipient TEXT NOT NULL,
    line BLOB,
    number INTEGER,
    payload TEXT NOT NULL,
    dedupe_key TEXT,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_at TEXT NOT NULL,
    lease_owner BLOB,
    last_error TEXT,
    sent_at TEXT,
    created TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX outbox_dedupe_key ON outbox (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state = 'queued' AND line IS NULL;
CREATE INDEX outbox_line ON outbox (line, number, id) WHERE state = 'queued';
CREATE INDEX outbox_leased ON outbox (lease_owner) WHERE state = 'leased';
CREATE INDEX outbox_case_id ON outbox (case_id);

-- The processes whose workers lease messages and lines, and how often each has reported.
CREATE TABLE process (
    id BLOB NOT NULL PRIMARY KEY,
    beats INTEGER NOT NULL
) STRICT;

CREATE TABLE worker (
    name TEXT NOT NULL PRIMARY KEY,
    last_run TEXT NOT NULL,
    seen INTEGER NOT NULL,
    done INTEGER NOT NULL
) STRICT;

CREATE TABLE seen_jti (
    issuer TEXT NOT NULL,
    jti TEXT NOT NULL,
    expires TEXT NOT NULL,
    PRIMARY KEY (issuer, jti)
) STRICT;
CREATE INDEX seen_jti_expires ON seen_jti (expires);

-- A subscription is also the line of its messages: when the next one is due (NULL when none waits), which process has
-- leased the line, and how many attempts have failed since the last success. `version` counts what the client changed.
CREATE TABLE subscription (
    id BLOB NOT NULL PRIMARY KEY,
    client BLOB NOT NULL REFERENCES client (id),
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    doc TEXT NOT NULL,
    senders TEXT NOT NULL,
    event_count INTEGER NOT NULL,
    next_at TEXT,
    lease_owner BLOB,
    failures INTEGER NOT NULL,
    error TEXT,
    created TEXT NOT NULL,
    changed TEXT NOT NULL
) STRICT;
CREATE INDEX subscription_client ON subscription (client);
CREATE INDEX subscription_due ON subscription (next_at, id) WHERE lease_owner IS NULL AND next_at IS NOT NULL;
CREATE INDEX subscription_leased ON subscription (lease_owner) WHERE lease_owner IS NOT NULL;

CREATE TABLE "grant" (
    id BLOB NOT NULL PRIMARY KEY,
    client BLOB NOT NULL REFERENCES client (id),
    login BLOB NOT NULL REFERENCES member_login (id),
    member BLOB NOT NULL REFERENCES member (id),
    scope TEXT NOT NULL,
    sensitive INTEGER NOT NULL,
    created TEXT NOT NULL,
    last_used TEXT,
    ended TEXT
) STRICT;
CREATE INDEX grant_member ON "grant" (member);

CREATE TABLE authorization_code (
    code_hash TEXT NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL REFERENCES "grant" (id),
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    expires TEXT NOT NULL,
    used TEXT
) STRICT;
CREATE INDEX authorization_code_expires ON authorization_code (expires);

CREATE TABLE token (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    client BLOB NOT NULL REFERENCES client (id),
    grant_id BLOB REFERENCES "grant" (id),
    scope TEXT NOT NULL,
    aud TEXT NOT NULL,
    created TEXT NOT NULL,
    expires TEXT NOT NULL,
    ended TEXT
) STRICT;
CREATE INDEX token_grant_id ON token (grant_id);
CREATE INDEX token_expires ON token (expires);

CREATE TABLE session (
    hash TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject BLOB NOT NULL,
    csrf TEXT NOT NULL,
    created TEXT NOT NULL,
    seen TEXT NOT NULL,
    expires TEXT NOT NULL
) STRICT;
CREATE INDEX session_expires ON session (expires);

CREATE TABLE throttle (
    key TEXT NOT NULL PRIMARY KEY,
    tries INTEGER NOT NULL,
    expires TEXT NOT NULL
) STRICT;
CREATE INDEX throttle_expires ON throttle (expires);

CREATE TABLE policy_set (
    hash TEXT NOT NULL PRIMARY KEY,
    files TEXT NOT NULL,
    created TEXT NOT NULL
) STRICT;
