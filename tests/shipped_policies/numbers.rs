//! The numbers and words that the shipped policies must have, grouped by how well they are confirmed. A number that is
//! changed in a policy is changed here too.

/// The tests of facts that a criterion must have, as the trace writes them, and parts of its text.
pub struct ExpectedCriterion {
    pub policy: &'static str,
    pub criterion: &'static str,
    pub tests: &'static [&'static str],
    pub words: &'static [&'static str],
}

pub const fn expected(
    policy: &'static str,
    criterion: &'static str,
    tests: &'static [&'static str],
    words: &'static [&'static str],
) -> ExpectedCriterion {
    ExpectedCriterion {
        policy,
        criterion,
        tests,
        words,
    }
}

pub const OXYGEN: &str = "dme.home-oxygen";
pub const PAP: &str = "dme.positive-airway-pressure";
pub const CHAIR: &str = "dme.power-wheelchair";
pub const SCOOTER: &str = "dme.power-operated-vehicle";
pub const SURFACE: &str = "dme.support-surfaces-group-2";
pub const PUMP: &str = "dme.pneumatic-compression";
pub const LEG: &str = "prosthetics.lower-limb";
pub const LEG_BRACE: &str = "orthotics.lower-limb";
pub const BACK_BRACE: &str = "orthotics.spinal";
pub const TOXIN: &str = "outpatient.botulinum-toxin";
pub const BED: &str = "dme.hospital-bed";
pub const VISITS: &str = "home-health.skilled-nursing-visits";
pub const EYELID: &str = "outpatient.blepharoplasty";

/// Read in a text of CMS, of a Medicare contractor or of the Code of Federal Regulations.
pub const CONFIRMED: &[ExpectedCriterion] = &[
    expected(
        OXYGEN,
        "test-source",
        &[
            "test.ordered-by-treating equals true",
            "test.by-supplier equals false",
        ],
        &["treating practitioner", "not performed by the equipment supplier"],
    ),
    expected(OXYGEN, "qualifying", &[], &["Hypoxemia"]),
    expected(
        PAP,
        "index-15",
        &["index at_least 15", "minutes at_least 120"],
        &["15 or more events per hour"],
    ),
    expected(
        PAP,
        "index-5",
        &["index between 5 and 14"],
        &["5 to 14 events per hour"],
    ),
    expected(
        PAP,
        "severity",
        &["symptoms equals true", "illnesses equals true"],
        &["5 to 14 with a symptom or a related illness"],
    ),
    expected(
        PAP,
        "study-type",
        &[
            "study equals facility",
            "study equals home-type-2",
            "study equals home-type-3",
            "study equals home-type-4",
            "channels at_least 3",
        ],
        &["at least 3 channels"],
    ),
    expected(
        PAP,
        "scoring",
        &["scored-by-rule equals true"],
        &[
            "at least 10 seconds",
            "at least 30% less airflow",
            "at least 4% less oxygen saturation",
        ],
    ),
    expected(PAP, "adult", &["member.age at_least 18"], &[]),
    expected(
        PAP,
        "benefit",
        &[
            "reevaluation-day between 31 and 91",
            "nights-used at_least 21",
            "improved equals true",
        ],
        &[
            "day 31 and day 91",
            "at least 4 hours",
            "21 of 30 consecutive nights",
        ],
    ),
    expected(
        PUMP,
        "lymphedema-trial",
        &["diagnosis equals lymphedema", "trial-weeks at_least 4"],
        &["at least 4 weeks"],
    ),
    expected(
        PUMP,
        "diagnosis",
        &[
            "diagnosis equals lymphedema",
            "diagnosis equals venous-insufficiency-with-ulcers",
        ],
        &["Lymphedema", "venous stasis ulcers"],
    ),
    expected(
        PUMP,
        "measurements",
        &["measurements equals true"],
        &["measurements", "severe"],
    ),
    expected(
        PUMP,
        "first-treatment",
        &["first-treatment equals well"],
        &["before and after", "tolerated"],
    ),
    expected(
        CHAIR,
        "visit",
        &[
            "visit-date dated within \"6 months\" of \"received\"",
            "order-after-visit equals true",
        ],
        &["within the 6 months before the order"],
    ),
    expected(
        SCOOTER,
        "visit",
        &[
            "visit-date dated within \"6 months\" of \"received\"",
            "order-after-visit equals true",
        ],
        &["within the 6 months before the order"],
    ),
    expected(
        CHAIR,
        "supplier-professional",
        &["supplier-professional equals true"],
        &["RESNA", "in person"],
    ),
    expected(
        LEG_BRACE,
        "knee-injury",
        &["indication equals knee-injury"],
        &["not operated on"],
    ),
    expected(
        LEG_BRACE,
        "visit",
        &["visit-date dated within \"6 months\" of \"received\""],
        &[],
    ),
    expected(
        LEG_BRACE,
        "written-order",
        &["order-after-visit equals true", "order-signed equals true"],
        &["before delivery"],
    ),
    expected(
        BACK_BRACE,
        "visit",
        &["visit-date dated within \"6 months\" of \"received\""],
        &[],
    ),
    expected(
        BACK_BRACE,
        "written-order",
        &["order-after-visit equals true", "order-signed equals true"],
        &["before delivery"],
    ),
    expected(
        BACK_BRACE,
        "indication",
        &["during-stay equals false"],
        &["outside of a hospital"],
    ),
    expected(
        BED,
        "need",
        &[
            "reason equals positioning",
            "reason equals pain",
            "reason equals attachment",
        ],
        &[],
    ),
    expected(
        BED,
        "described",
        &["described equals true"],
        &["severity and frequency"],
    ),
];

/// Read only in texts that quote the sources.
pub const SECOND_HAND: &[ExpectedCriterion] = &[
    expected(
        OXYGEN,
        "group-1-rest",
        &["pao2.rest at_most \"55 mm[Hg]\"", "spo2.rest at_most \"88 %\""],
        &["55 mm Hg or less", "88% or less", "at rest", "room air"],
    ),
    expected(
        OXYGEN,
        "test-condition",
        &["test.condition equals rest-awake-room-air"],
        &[],
    ),
    expected(
        OXYGEN,
        "group-2",
        &[
            "pao2.rest between \"56 mm[Hg]\" and \"59 mm[Hg]\"",
            "spo2.rest between \"89 %\" and \"89 %\"",
            "edema equals true",
            "cor-pulmonale equals true",
            "hematocrit more_than \"56 %\"",
        ],
        &["56 to 59 mm Hg", "89%", "above 56%"],
    ),
    expected(
        PAP,
        "index-15",
        &["minutes less_than 120", "events at_least 30"],
        &["less than 2 hours were recorded, 30 or more"],
    ),
    expected(
        PAP,
        "index-5",
        &["minutes less_than 120", "events at_least 10"],
        &["10 or more"],
    ),
    expected(
        PAP,
        "symptom-or-illness",
        &["symptoms equals true", "illnesses equals true"],
        &[
            "sleepiness",
            "cognition",
            "mood disorder",
            "insomnia",
            "hypertension",
            "ischemic heart disease",
            "stroke",
        ],
    ),
    expected(
        PAP,
        "evaluated-before-study",
        &["evaluated-first equals true"],
        &["In-person", "before the sleep study"],
    ),
    expected(
        PAP,
        "device-fits",
        &[
            "device equals E0601",
            "device equals E0470",
            "single-level-failed equals true",
        ],
        &["only after a single-level device was tried and failed"],
    ),
    expected(
        CHAIR,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "eating", "dressing", "grooming", "bathing"],
    ),
    expected(
        CHAIR,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    expected(
        CHAIR,
        "operator",
        &["operator equals patient", "operator equals caregiver"],
        &["safely"],
    ),
    expected(
        CHAIR,
        "walking-aid",
        &["walking-aid equals false"],
        &["cane", "walker"],
    ),
    expected(CHAIR, "home", &["home-suits equals true"], &[]),
    expected(
        CHAIR,
        "manual-chair",
        &["self-propels equals false", "caregiver-pushes equals false"],
        &[],
    ),
    expected(
        CHAIR,
        "scooter",
        &["scooter equals posture", "scooter equals home"],
        &[],
    ),
    expected(CHAIR, "features", &["takes-part equals true"], &[]),
    expected(
        CHAIR,
        "group-3-cause",
        &[
            "cause equals neurological",
            "cause equals myopathy",
            "cause equals congenital-skeletal",
        ],
        &["Group 3"],
    ),
    expected(
        CHAIR,
        "one-power-option",
        &[
            "other-control equals true",
            "seating equals tilt",
            "seating equals recline",
        ],
        &["used", "operated by hand or chin"],
    ),
    expected(
        CHAIR,
        "several-power-options",
        &["seating equals tilt-and-recline", "ventilator equals true"],
        &["ventilator"],
    ),
    expected(
        CHAIR,
        "evaluations",
        &["face-to-face equals true", "specialist equals true"],
        &["In-person", "specialist"],
    ),
    expected(
        SCOOTER,
        "limitation",
        &[
            "limitation equals prevents",
            "limitation equals unsafe",
            "limitation equals too-slow",
        ],
        &["toilet", "bathing"],
    ),
    expected(
        SCOOTER,
        "other-limits",
        &["other-limits equals false", "compensated equals true"],
        &[],
    ),
    expected(SCOOTER, "walking-aid", &["walking-aid equals false"], &[]),
    expected(SCOOTER, "manual-chair", &["self-propels equals false"], &[]),
    expected(
        SCOOTER,
        "driver",
        &["gets-on-and-off equals true", "steers equals true"],
        &[],
    ),
    expected(SCOOTER, "home", &["home-suits equals true"], &[]),
    expected(
        SURFACE,
        "location",
        &["trunk-or-pelvis equals true"],
        &["trunk or pelvis"],
    ),
    expected(
        SURFACE,
        "stage-2-not-improving",
        &[
            "ulcers equals multiple-stage-2",
            "program-one-month equals true",
            "not-improving equals true",
        ],
        &["Multiple stage 2", "one month", "group 1 surface"],
    ),
    expected(
        SURFACE,
        "stage-3-or-4",
        &["ulcers equals large-or-multiple-stage-3-or-4"],
        &["Large or multiple stage 3 or stage 4"],
    ),
    expected(
        SURFACE,
        "flap-or-graft",
        &[
            "flap-date dated within \"60 days\" of \"received\"",
            "surface-before equals true",
            "discharge-date dated within \"30 days\" of \"received\"",
        ],
        &["60 days", "group 2 or 3", "30 days"],
    ),
    // A month that is approved on day 29 or earlier ends by day 60.
    expected(
        SURFACE,
        "flap-period",
        &["flap-date dated within \"29 days\" of \"received\""],
        &["within 60 days of surgery"],
    ),
    expected(
        LEG,
        "functional-level",
        &["level equals k3", "level equals k4"],
        &["level 3 or 4"],
    ),
    expected(
        LEG,
        "candidate",
        &["reaches-level equals true", "motivated equals true"],
        &["reasonable time"],
    ),
    expected(
        PUMP,
        "ulcer-trial",
        &["trial-weeks at_least 26"],
        &["at least 26 weeks"],
    ),
    expected(
        CHAIR,
        "weight",
        &[
            "weight at_most \"300 [lb_av]\"",
            "weight between \"285 [lb_av]\" and \"450 [lb_av]\"",
            "weight between \"428 [lb_av]\" and \"600 [lb_av]\"",
            "weight at_least \"570 [lb_av]\"",
        ],
        &["up to 300 lb", "285 to 450 lb", "428 to 600 lb", "570 lb or more"],
    ),
    expected(CHAIR, "willing", &["unwilling equals false"], &[]),
    expected(
        SCOOTER,
        "weight",
        &[
            "weight at_most \"300 [lb_av]\"",
            "weight between \"285 [lb_av]\" and \"450 [lb_av]\"",
            "weight between \"428 [lb_av]\" and \"600 [lb_av]\"",
        ],
        &["up to 300 lb", "285 to 450 lb", "428 to 600 lb"],
    ),
    expected(SCOOTER, "willing", &["unwilling equals false"], &[]),
    expected(
        OXYGEN,
        "visit",
        &[
            "visit-date dated within \"6 months\" of \"received\"",
            "test.ordered-by-treating equals true",
        ],
        &["within the 6 months before the order"],
    ),
    expected(
        OXYGEN,
        "order-before-delivery",
        &[
            "order-first equals true",
            "service-start on_or_after \"received\"",
        ],
        &["before delivery"],
    ),
    expected(
        TOXIN,
        "migraine",
        &[
            "headache-days at_least 15",
            "headache-hours at_least 4",
            "headache-months at_least 3",
            "preventives at_least 2",
        ],
        &[
            "4 hours or more on 15 or more days",
            "3 or more months",
            "2 or more preventive",
        ],
    ),
    expected(
        TOXIN,
        "interval",
        &["last-injection dated within \"83 days\" of \"received\""],
        &["12 weeks"],
    ),
    expected(
        TOXIN,
        "benefit",
        &[
            "improved equals true",
            "documented equals true",
            "failed-in-a-row less_than 2",
        ],
        &["fewer than 2 treatments in a row"],
    ),
    expected(
        BED,
        "need",
        &["reason equals head-elevation", "degrees more_than 30"],
        &["more than 30 degrees"],
    ),
];

/// Decided by the plan itself.
pub const PLANS_OWN: &[ExpectedCriterion] = &[
    expected(
        OXYGEN,
        "test-age",
        &[
            "pao2.rest dated within \"30 days\" of \"received\"",
            "oximetry.date dated within \"30 days\" of \"received\"",
        ],
        &["within 30 days"],
    ),
    expected(
        OXYGEN,
        "within-units",
        &["months.asked at_most \"12 mo\""],
        &["12 months"],
    ),
    expected(
        TOXIN,
        "days-lost",
        &[
            "work-missed between 0 and 92",
            "work-reduced between 0 and 92",
            "household-missed between 0 and 92",
            "household-reduced between 0 and 92",
            "leisure-missed between 0 and 92",
        ],
        &["five parts"],
    ),
    expected(
        VISITS,
        "number-of-visits",
        &["visits at_most 30"],
        &["30 or fewer in 60 days"],
    ),
    expected(
        VISITS,
        "plan-of-care",
        &["plan-signed dated within \"60 days\" of \"received\""],
        &[],
    ),
    expected(
        VISITS,
        "seen-in-person",
        &["face-to-face dated within \"90 days\" of \"received\""],
        &[],
    ),
    expected(EYELID, "within-units", &["units.asked at_most 2"], &[]),
    expected(
        LEG,
        "record",
        &["visit-date dated within \"6 months\" of \"received\""],
        &[],
    ),
];
