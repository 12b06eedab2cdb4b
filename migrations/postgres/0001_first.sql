-- The base schema. Version, name, tables, columns and indexes are the same as in migrations/sqlite/0001_first.sql; a
-- test compares the two. Ids are version 7 UUIDs, times timestamptz, and JSON is text as received. Large texts are
-- compressed with lz4.

CREATE TABLE client (
    id UUID NOT NULL PRIMARY KEY,
    client_id TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    doc TEXT COMPRESSION lz4 NOT NULL,
    issuer TEXT COLLATE "C",
    disabled BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX client_client_id ON client (client_id);
CREATE UNIQUE INDEX client_issuer ON client (issuer);

CREATE TABLE staff_member (
    id UUID NOT NULL PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    roles TEXT COLLATE "C" NOT NULL,
    credential TEXT COLLATE "C",
    disabled BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX staff_member_username ON staff_member (username);

CREATE TABLE member (
    id UUID NOT NULL PRIMARY KEY,
    member_id TEXT COLLATE "C" NOT NULL,
    family TEXT COLLATE "C" NOT NULL,
    given TEXT COLLATE "C" NOT NULL,
    birth_date DATE,
    gender TEXT COLLATE "C",
    doc TEXT COMPRESSION lz4 NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX member_member_id ON member (member_id);
CREATE INDEX member_family_birth_date ON member (family, birth_date);

CREATE TABLE member_login (
    id UUID NOT NULL PRIMARY KEY,
    username TEXT COLLATE "C" NOT NULL,
    password TEXT COLLATE "C" NOT NULL,
    member UUID NOT NULL REFERENCES member (id),
    email TEXT COLLATE "C",
    disabled BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX member_login_username ON member_login (username);
CREATE INDEX member_login_member ON member_login (member);

CREATE TABLE coverage (
    id UUID NOT NULL PRIMARY KEY,
    coverage_key TEXT COLLATE "C" NOT NULL,
    member UUID NOT NULL REFERENCES member (id),
    plan TEXT COLLATE "C" NOT NULL,
    line_of_business TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C",
    zone TEXT COLLATE "C" NOT NULL,
    subscriber_id TEXT COLLATE "C",
    status TEXT COLLATE "C" NOT NULL,
    starts DATE,
    ends DATE,
    doc TEXT COMPRESSION lz4 NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX coverage_coverage_key ON coverage (coverage_key);
CREATE INDEX coverage_member ON coverage (member);
CREATE INDEX coverage_subscriber_id ON coverage (subscriber_id);

CREATE TABLE provider (
    id UUID NOT NULL PRIMARY KEY,
    provider_key TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    npi TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    email TEXT COLLATE "C",
    doc TEXT COMPRESSION lz4 NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX provider_provider_key ON provider (provider_key);
CREATE INDEX provider_npi ON provider (npi);

CREATE TABLE blob (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    body TEXT COMPRESSION lz4 NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
CREATE INDEX blob_created ON blob (created) WHERE kind <> 'pas-request';

-- `app_access` says which member apps may read the case, `approval_ends` when its approvals end (RFC 3339, separated by
-- spaces), both for searches that do not read its history.
CREATE TABLE prior_auth (
    id UUID NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    member UUID NOT NULL REFERENCES member (id),
    coverage UUID NOT NULL REFERENCES coverage (id),
    request UUID NOT NULL REFERENCES blob (id),
    line_of_business TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    queue TEXT COLLATE "C",
    urgent BOOLEAN NOT NULL,
    received TIMESTAMPTZ NOT NULL,
    due_internal TIMESTAMPTZ NOT NULL,
    version BIGINT NOT NULL,
    changed TIMESTAMPTZ NOT NULL,
    requester_npi TEXT COLLATE "C",
    app_access TEXT COLLATE "C" NOT NULL,
    approval_ends TEXT COLLATE "C" NOT NULL
);
CREATE INDEX prior_auth_member ON prior_auth (member, id, app_access);
CREATE INDEX prior_auth_client ON prior_auth (client);
CREATE INDEX prior_auth_request ON prior_auth (request);

-- One row for each open case, with everything that the queue shows. Written in the unit of work that changes the case
-- and deleted when the case is decided. `notified` is the last escalation step that staff were notified of.
CREATE TABLE queue_entry (
    case_id UUID NOT NULL PRIMARY KEY REFERENCES prior_auth (id),
    member UUID NOT NULL,
    number TEXT COLLATE "C" NOT NULL,
    line_of_business TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    queue TEXT COLLATE "C" NOT NULL,
    urgent BOOLEAN NOT NULL,
    clock TEXT COLLATE "C" NOT NULL,
    received TIMESTAMPTZ NOT NULL,
    due TIMESTAMPTZ NOT NULL,
    requester TEXT COLLATE "C" NOT NULL,
    items BIGINT NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    policy_title TEXT COLLATE "C",
    met BIGINT,
    not_met BIGINT,
    unknown BIGINT,
    notified BIGINT NOT NULL
);
CREATE INDEX queue_entry_due ON queue_entry (due, received, case_id);
CREATE INDEX queue_entry_group ON queue_entry (status, queue, urgent, line_of_business, clock, due, received, case_id);
CREATE INDEX queue_entry_notified ON queue_entry (clock, notified, due, case_id);

-- How many open cases have the same values of the queue's filters, and how often that changed. The rows of a group are
-- spread over shards, so that units of work seldom wait for each other.
CREATE TABLE queue_count (
    status TEXT COLLATE "C" NOT NULL,
    queue TEXT COLLATE "C" NOT NULL,
    urgent BOOLEAN NOT NULL,
    line_of_business TEXT COLLATE "C" NOT NULL,
    clock TEXT COLLATE "C" NOT NULL,
    shard BIGINT NOT NULL,
    open BIGINT NOT NULL,
    changes BIGINT NOT NULL,
    PRIMARY KEY (status, queue, urgent, line_of_business, clock, shard)
);

CREATE TABLE item (
    case_id UUID NOT NULL REFERENCES prior_auth (id),
    sequence BIGINT NOT NULL,
    system TEXT COLLATE "C" NOT NULL,
    code TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (case_id, sequence)
);
CREATE INDEX item_system_code ON item (system, code);

CREATE TABLE event (
    case_id UUID NOT NULL REFERENCES prior_auth (id),
    seq BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    actor TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    credential TEXT COLLATE "C",
    body TEXT COMPRESSION lz4 NOT NULL,
    prev_hash TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (case_id, seq)
);

CREATE TABLE number_alias (
    number TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    case_id UUID NOT NULL REFERENCES prior_auth (id),
    kind TEXT COLLATE "C" NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
CREATE INDEX number_alias_case_id ON number_alias (case_id);

-- `response` is the id of the response Bundle; the response is made again from the case and the request.
CREATE TABLE submission (
    client UUID NOT NULL REFERENCES client (id),
    key TEXT COLLATE "C" NOT NULL,
    case_id UUID NOT NULL REFERENCES prior_auth (id),
    response UUID NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (client, key)
);
CREATE INDEX submission_case_id ON submission (case_id);

-- One call of a hook: the call as received without its access token, what was read from the EHR, what may not decide, and
-- the response as sent. The assertions of the call refer to it.
CREATE TABLE hook_call (
    id UUID NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    hook TEXT COLLATE "C" NOT NULL,
    hook_instance TEXT COLLATE "C" NOT NULL,
    request TEXT COMPRESSION lz4 NOT NULL,
    fetched TEXT COMPRESSION lz4 NOT NULL,
    admission TEXT COMPRESSION lz4 NOT NULL,
    response TEXT COMPRESSION lz4 NOT NULL,
    shadow TEXT COMPRESSION lz4,
    created TIMESTAMPTZ NOT NULL
);
CREATE INDEX hook_call_created ON hook_call (created);

CREATE TABLE assertion (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    hook_call UUID NOT NULL REFERENCES hook_call (id),
    client UUID NOT NULL REFERENCES client (id),
    member UUID REFERENCES member (id),
    coverage UUID REFERENCES coverage (id),
    order_ref TEXT COLLATE "C" NOT NULL,
    coverage_ref TEXT COLLATE "C" NOT NULL,
    patient_ref TEXT COLLATE "C" NOT NULL,
    order_json TEXT COMPRESSION lz4 NOT NULL,
    policy TEXT COLLATE "C",
    policy_version TEXT COLLATE "C",
    policy_hash TEXT COLLATE "C" NOT NULL,
    case_document TEXT COMPRESSION lz4 NOT NULL,
    coverage_information TEXT COMPRESSION lz4 NOT NULL,
    forms TEXT COLLATE "C" NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
CREATE INDEX assertion_hook_call ON assertion (hook_call);
CREATE INDEX assertion_client ON assertion (client, created);
CREATE INDEX assertion_member ON assertion (member);

-- Messages that leave the server. Those with a line are sent one after another in the order of their numbers; the line
-- is the subscription. Rows without a line are mail.
CREATE TABLE outbox (
    id UUID NOT NULL PRIMARY KEY,
    case_id UUID REFERENCES prior_auth (id),
    kind TEXT COLLATE "C" NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    line UUID,
    number BIGINT,
    payload TEXT COMPRESSION lz4 NOT NULL,
    dedupe_key TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_at TIMESTAMPTZ NOT NULL,
    lease_owner UUID,
    last_error TEXT COLLATE "C",
    sent_at TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX outbox_dedupe_key ON outbox (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state = 'queued' AND line IS NULL;
CREATE INDEX outbox_line ON outbox (line, number, id) WHERE state = 'queued';
CREATE INDEX outbox_leased ON outbox (lease_owner) WHERE state = 'leased';
CREATE INDEX outbox_case_id ON outbox (case_id);

-- The processes whose workers lease messages and lines, and how often each has reported.
CREATE TABLE process (
    id UUID NOT NULL PRIMARY KEY,
    beats BIGINT NOT NULL
);

CREATE TABLE worker (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    last_run TIMESTAMPTZ NOT NULL,
    seen BIGINT NOT NULL,
    done BIGINT NOT NULL
);

CREATE TABLE seen_jti (
    issuer TEXT COLLATE "C" NOT NULL,
    jti TEXT COLLATE "C" NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX seen_jti_expires ON seen_jti (expires);

-- A subscription is also the line of its messages: when the next one is due (NULL when none waits), which process has
-- leased the line, and how many attempts have failed since the last success. `version` counts what the client changed.
CREATE TABLE subscription (
    id UUID NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    status TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    doc TEXT COMPRESSION lz4 NOT NULL,
    senders TEXT COLLATE "C" NOT NULL,
    event_count BIGINT NOT NULL,
    next_at TIMESTAMPTZ,
    lease_owner UUID,
    failures BIGINT NOT NULL,
    error TEXT COLLATE "C",
    created TIMESTAMPTZ NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE INDEX subscription_client ON subscription (client);
CREATE INDEX subscription_due ON subscription (next_at, id) WHERE lease_owner IS NULL AND next_at IS NOT NULL;
CREATE INDEX subscription_leased ON subscription (lease_owner) WHERE lease_owner IS NOT NULL;

CREATE TABLE "grant" (
    id UUID NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    login UUID NOT NULL REFERENCES member_login (id),
    member UUID NOT NULL REFERENCES member (id),
    scope TEXT COLLATE "C" NOT NULL,
    sensitive BOOLEAN NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    last_used TIMESTAMPTZ,
    ended TIMESTAMPTZ
);
CREATE INDEX grant_member ON "grant" (member);

CREATE TABLE authorization_code (
    code_hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    grant_id UUID NOT NULL REFERENCES "grant" (id),
    redirect_uri TEXT COLLATE "C" NOT NULL,
    challenge TEXT COLLATE "C" NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    used TIMESTAMPTZ
);
CREATE INDEX authorization_code_expires ON authorization_code (expires);

CREATE TABLE token (
    hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    client UUID NOT NULL REFERENCES client (id),
    grant_id UUID REFERENCES "grant" (id),
    scope TEXT COLLATE "C" NOT NULL,
    aud TEXT COLLATE "C" NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    ended TIMESTAMPTZ
);
CREATE INDEX token_grant_id ON token (grant_id);
CREATE INDEX token_expires ON token (expires);

CREATE TABLE session (
    hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    subject UUID NOT NULL,
    csrf TEXT COLLATE "C" NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    seen TIMESTAMPTZ NOT NULL,
    expires TIMESTAMPTZ NOT NULL
);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE throttle (
    key TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tries BIGINT NOT NULL,
    expires TIMESTAMPTZ NOT NULL
);
CREATE INDEX throttle_expires ON throttle (expires);

CREATE TABLE policy_set (
    hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    files TEXT COMPRESSION lz4 NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
