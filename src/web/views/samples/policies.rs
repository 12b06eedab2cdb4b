//! The public list and the page of the policies.

use super::*;

pub fn public_list() -> PublicListPage {
    let row = |code: Option<&str>, to: Option<&str>| ListedRow {
        code: code.map(str::to_owned),
        system: some("HCPCS"),
        line: some("MA"),
        state: some("OH"),
        from: date("2026-07-01"),
        to: to.map(date),
        title: "Home oxygen".to_owned(),
        forms: vec!["home-oxygen|1.0.0".to_owned(), "other|1.0.0".to_owned()],
        sources: vec![
            Source {
                cite: "NCD 240.2".to_owned(),
                url: some("https://cms.example/ncd"),
            },
            Source {
                cite: "The plan's handbook".to_owned(),
                url: None,
            },
        ],
    };
    PublicListPage {
        frame: Frame::default(),
        contact: contact(),
        action: "/prior-authorization-list".to_owned(),
        code: "E04".to_owned(),
        lines: vec![choice("", "all lines", false), choice("MA", "MA only", true)],
        published: Some(at("2026-11-20T15:04:05Z")),
        number: Some(4),
        zone: ZONE.to_owned(),
        today: some("/prior-authorization-list"),
        total: 500,
        found: 402,
        first: 201,
        last: 202,
        rows: vec![row(Some("E0424"), None), row(None, Some("2026-12-31"))],
        back: some("/prior-authorization-list?page=1"),
        on: some("/prior-authorization-list?page=3"),
        csv: "/prior-authorization-list.csv".to_owned(),
        editions: vec![
            Edition {
                href: "/prior-authorization-list/1".to_owned(),
                at: at("2026-11-20T15:04:05Z"),
                shown: true,
            },
            Edition {
                href: "/prior-authorization-list/0".to_owned(),
                at: at("2026-10-20T15:04:05Z"),
                shown: false,
            },
        ],
    }
}

pub fn policies() -> PoliciesPage {
    let entry = || LogEntry {
        number: 4,
        at: at("2026-11-20T15:04:05Z"),
        how: "by two people".to_owned(),
        proposed_by: some("Alma Reyes"),
        confirmed_by: some("Otto Lang"),
        hash: "sha256:97ab".to_owned(),
        list: "/prior-authorization-list/4".to_owned(),
    };
    PoliciesPage {
        frame: frame("Otto Lang", Some("policy-approver"), "/staff/policies"),
        csrf: "c5rf-token".to_owned(),
        zone: ZONE.to_owned(),
        in_force: InForce {
            entry: Some(entry()),
            files: 20,
            forms: 3,
            listed: 14,
        },
        refused: Some(RefusedSet {
            hash: some("sha256:bad"),
            at: at("2026-11-20T16:04:05Z"),
            findings: vec!["rules/plans.csv:3: A plan twice".to_owned()],
        }),
        may_publish: true,
        same: false,
        findings: vec!["rules/policies/a.yaml:12: An unknown key".to_owned()],
        waiting: Some(WaitingSet {
            id: "proposal-1".to_owned(),
            hash: "sha256:c0de".to_owned(),
            by: "Alma Reyes".to_owned(),
            at: at("2026-11-20T16:10:00Z"),
            mine: false,
            stale: false,
            files: vec![FileChange {
                path: "rules/policies/a.yaml".to_owned(),
                href: "/staff/policies/changes?file=a".to_owned(),
                what: "changed".to_owned(),
                plus: 3,
                minus: 1,
            }],
        }),
        total: 401,
        policies: vec![PolicyRow {
            title: "Home oxygen".to_owned(),
            name: "dme.home-oxygen".to_owned(),
            version: "2026.2".to_owned(),
            status: Mark::new(Tone::Approved, "active"),
            from: date("2026-07-01"),
            to: None,
            lines: "MA".to_owned(),
            codes: 4,
            forms: vec!["home-oxygen|1.0.0".to_owned()],
            warnings: 1,
        }],
        back: some("/staff/policies?page=1"),
        on: some("/staff/policies?page=3"),
        warnings: vec!["policies/a.yaml:9: A source unchecked".to_owned()],
        log: vec![entry()],
    }
}

pub fn policy_changes() -> PolicyChanges {
    let side = |text: &str| TextSide {
        first: 7,
        lines: vec![TextLine {
            text: text.to_owned(),
            own: true,
        }],
        more: 0,
    };
    PolicyChanges {
        frame: frame("Otto Lang", Some("policy-approver"), "/staff/policies"),
        path: "rules/policies/a.yaml".to_owned(),
        what: "changed".to_owned(),
        old: side("at_most: 55"),
        new: side("at_most: 56"),
    }
}
