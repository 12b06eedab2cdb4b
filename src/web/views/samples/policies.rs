//! The public list and the policies pages.

use super::*;

pub fn public_list() -> PublicListPage {
    let row = |code: Option<&str>, to: Option<&str>| ListedRow {
        code: code.map(str::to_owned),
        system: some("HCPCS"),
        line_of_business: some("MA"),
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
        frame: PageFrame::default(),
        contact: contact(),
        action: "/prior-authorization-list".to_owned(),
        code: "E04".to_owned(),
        lines_of_business: vec![option("", "All", false), option("MA", "MA", true)],
        published: Some(at("2026-11-20T15:04:05Z")),
        number: Some(4),
        zone: ZONE.to_owned(),
        current_list: some("/prior-authorization-list"),
        total: 500,
        found: 402,
        first: 201,
        last: 202,
        rows: vec![row(Some("E0424"), None), row(None, Some("2026-12-31"))],
        previous_page: some("/prior-authorization-list?page=1"),
        next_page: some("/prior-authorization-list?page=3"),
        csv: "/prior-authorization-list.csv".to_owned(),
        publications: vec![
            PublicationLink {
                href: "/prior-authorization-list/1".to_owned(),
                at: at("2026-11-20T15:04:05Z"),
                shown: true,
            },
            PublicationLink {
                href: "/prior-authorization-list/0".to_owned(),
                at: at("2026-10-20T15:04:05Z"),
                shown: false,
            },
        ],
    }
}

pub fn policies() -> PoliciesPage {
    let publication = || PublicationRow {
        number: 4,
        at: at("2026-11-20T15:04:05Z"),
        method: "proposed and confirmed".to_owned(),
        proposed_by: some("Alma Reyes"),
        confirmed_by: some("Otto Lang"),
        hash: "sha256:97ab".to_owned(),
        list: "/prior-authorization-list/4".to_owned(),
    };
    PoliciesPage {
        frame: frame("Otto Lang", Some("Policy approver"), "/staff/policies"),
        csrf: "c5rf-token".to_owned(),
        zone: ZONE.to_owned(),
        current: CurrentSet {
            publication: Some(publication()),
            files: 20,
            forms: 3,
            listed: 14,
        },
        refused: Some(RefusedSet {
            hash: some("sha256:bad"),
            at: at("2026-11-20T16:04:05Z"),
            findings: vec!["rules/plans.csv:3: The plan is listed twice".to_owned()],
        }),
        may_publish: true,
        nothing_to_propose: false,
        findings: vec!["rules/policies/a.yaml:12: Unknown key".to_owned()],
        proposal: Some(PendingProposal {
            id: "proposal-1".to_owned(),
            hash: "sha256:c0de".to_owned(),
            proposer: "Alma Reyes".to_owned(),
            at: at("2026-11-20T16:10:00Z"),
            is_own: false,
            is_outdated: false,
            more_files: 3,
            files: vec![FileChange {
                path: "rules/policies/a.yaml".to_owned(),
                href: "/staff/policies/changes?file=a".to_owned(),
                kind: "changed".to_owned(),
                added_lines: 3,
                removed_lines: 1,
            }],
        }),
        total: 401,
        policies: vec![PolicyRow {
            title: "Home oxygen".to_owned(),
            name: "dme.home-oxygen".to_owned(),
            version: "2026.2".to_owned(),
            status: Badge::new(BadgeStyle::Approved, "active"),
            from: date("2026-07-01"),
            to: None,
            lines_of_business: "MA".to_owned(),
            codes: 4,
            forms: vec!["home-oxygen|1.0.0".to_owned()],
            warnings: 1,
        }],
        previous_page: some("/staff/policies?page=1"),
        next_page: some("/staff/policies?page=3"),
        warning_count: 1,
        warnings: vec!["policies/a.yaml:9: A source was not checked within a year".to_owned()],
        publications: vec![publication()],
    }
}

pub fn file_comparison() -> FileComparisonPage {
    let excerpt = |text: &str| FileExcerpt {
        first_line: 7,
        lines: vec![FileLine {
            text: text.to_owned(),
            is_changed: true,
        }],
        omitted: 0,
    };
    FileComparisonPage {
        frame: frame("Otto Lang", Some("Policy approver"), "/staff/policies"),
        path: "rules/policies/a.yaml".to_owned(),
        kind: "changed".to_owned(),
        current: excerpt("at_most: 55"),
        proposed: excerpt("at_most: 56"),
    }
}
