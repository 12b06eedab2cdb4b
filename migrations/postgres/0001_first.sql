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
    changed TIMESTAMPTZ NOT NULL
);
CREATE INDEX prior_auth_status_due ON prior_auth (status, due_internal, received, id);
CREATE INDEX prior_auth_member_changed ON prior_auth (member, changed);
CREATE INDEX prior_auth_client ON prior_auth (client);

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

CREATE TABLE submission (
    client UUID NOT NULL REFERENCES client (id),
    key TEXT COLLATE "C" NOT NULL,
    case_id UUID NOT NULL REFERENCES prior_auth (id),
    version BIGINT NOT NULL,
    response TEXT COMPRESSION lz4 NOT NULL,
    created TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (client, key)
);

CREATE TABLE assertion (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    hook TEXT COLLATE "C" NOT NULL,
    hook_instance TEXT COLLATE "C" NOT NULL,
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
CREATE INDEX assertion_client ON assertion (client, created);
CREATE INDEX assertion_member ON assertion (member);

CREATE TABLE outbox (
    id UUID NOT NULL PRIMARY KEY,
    case_id UUID REFERENCES prior_auth (id),
    kind TEXT COLLATE "C" NOT NULL,
    recipient TEXT COLLATE "C" NOT NULL,
    payload TEXT COMPRESSION lz4 NOT NULL,
    dedupe_key TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_at TIMESTAMPTZ NOT NULL,
    lease_until TIMESTAMPTZ,
    last_error TEXT COLLATE "C",
    sent_at TIMESTAMPTZ,
    created TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX outbox_dedupe_key ON outbox (dedupe_key);
CREATE INDEX outbox_state_next_at ON outbox (state, next_at);
CREATE INDEX outbox_case_id ON outbox (case_id);
CREATE INDEX outbox_recipient ON outbox (recipient, id);

CREATE TABLE job (
    id UUID NOT NULL PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    payload TEXT COMPRESSION lz4 NOT NULL,
    dedupe_key TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    attempts BIGINT NOT NULL,
    next_at TIMESTAMPTZ NOT NULL,
    lease_until TIMESTAMPTZ,
    last_error TEXT COLLATE "C",
    created TIMESTAMPTZ NOT NULL
);
CREATE UNIQUE INDEX job_dedupe_key ON job (dedupe_key);
CREATE INDEX job_state_next_at ON job (state, next_at);

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

CREATE TABLE subscription (
    id UUID NOT NULL PRIMARY KEY,
    client UUID NOT NULL REFERENCES client (id),
    status TEXT COLLATE "C" NOT NULL,
    doc TEXT COMPRESSION lz4 NOT NULL,
    senders TEXT COLLATE "C" NOT NULL,
    event_count BIGINT NOT NULL,
    error TEXT COLLATE "C",
    created TIMESTAMPTZ NOT NULL,
    changed TIMESTAMPTZ NOT NULL
);
CREATE INDEX subscription_client ON subscription (client);

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

CREATE TABLE policy_set (
    hash TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    files TEXT COMPRESSION lz4 NOT NULL,
    created TIMESTAMPTZ NOT NULL
);
