//! Answers that the form allows, and each kind of answer that cannot count.

use super::*;
use crate::forms::tests::shipped;
use serde_json::json;

/// The problems of a response with these items, to a form of the project: link id and kind.
fn problems(form: &str, items: &Value) -> Vec<(String, AnswerProblemKind)> {
    let forms = shipped();
    let day = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap();
    let response = json!({ "resourceType": "QuestionnaireResponse", "item": items });
    let found = forms.find(form, day).form().unwrap().answer_problems(&response);
    found.into_iter().map(|p| (p.link_id, p.kind)).collect()
}

fn answered(link_id: &str, answer: Value) -> Value {
    json!({ "linkId": link_id, "answer": [answer] })
}

fn condition(code: &str) -> Value {
    answered(
        "oxygen.test-condition",
        json!({ "valueCoding": { "code": code } }),
    )
}

#[test]
fn complete_answers_have_no_problem_with_groups_and_without() {
    let saturation = json!({ "valueQuantity": { "value": 87, "unit": "%" } });
    let months = json!({ "valueQuantity": { "value": 12, "unit": "months" } });
    let items = [
        answered("oxygen.spo2", saturation),
        answered("oxygen.test-date", json!({ "valueDate": "2026-09-24" })),
        condition("rest-awake-room-air"),
        answered("oxygen.dependent-edema", json!({ "valueBoolean": false })),
        answered("oxygen.months", months),
        answered("oxygen.prescriber", json!({ "valueString": "Ada Lung" })),
        json!({ "linkId": "oxygen.test-performed-by-dme-supplier", "answer": [{}] }),
    ];
    assert_eq!(problems("home-oxygen", &json!(items)), []);
    assert_eq!(
        problems(
            "home-oxygen",
            &json!([{ "linkId": "oxygen.test", "item": items }])
        ),
        []
    );
}

#[test]
fn a_value_that_is_not_an_option_cannot_count() {
    let coding = |coding: Value| {
        let items = json!([answered(
            "oxygen.test-condition",
            json!({ "valueCoding": coding })
        )]);
        problems("home-oxygen", &items)
    };
    let system = "https://plan.example/dtr/2.2/CodeSystem/oxygen-test-condition";
    let code = "rest-awake-room-air";
    assert_eq!(coding(json!({ "code": code, "system": system })), []);
    let refused = [("oxygen.test-condition".to_owned(), AnswerProblemKind::NotAnOption)];
    for bogus in [
        json!({ "code": "bogus" }),
        json!({ "code": "Rest-awake-room-air" }),
        json!({ "code": code, "system": "http://other.example/x" }),
        json!({ "display": "At rest, awake, breathing room air" }),
        json!({}),
    ] {
        assert_eq!(coding(bogus.clone()), refused, "{bogus}");
    }
    let other_unit = json!([answered(
        "oxygen.spo2",
        json!({ "valueQuantity": { "value": 0.87, "unit": "1" } })
    )]);
    assert_eq!(
        problems("home-oxygen", &other_unit)[0].1,
        AnswerProblemKind::NotAnOption
    );
    let no_unit = json!([answered(
        "oxygen.spo2",
        json!({ "valueQuantity": { "value": 87 } })
    )]);
    assert_eq!(
        problems("home-oxygen", &no_unit)[0].1,
        AnswerProblemKind::NotAnOption
    );
}

#[test]
fn an_answer_of_the_wrong_type_cannot_count() {
    for (link_id, answer) in [
        ("oxygen.test-date", json!({ "valueDate": "2026-13-45" })),
        ("oxygen.test-date", json!({ "valueDateTime": "2026-09-24" })),
        ("oxygen.test-date", json!({ "valueString": "2026-09-24" })),
        ("oxygen.dependent-edema", json!({ "valueBoolean": "true" })),
        ("oxygen.dependent-edema", json!({ "valueString": "yes" })),
        (
            "oxygen.test-condition",
            json!({ "valueString": "rest-awake-room-air" }),
        ),
        ("oxygen.spo2", json!({ "valueDecimal": 87 })),
        (
            "oxygen.spo2",
            json!({ "valueQuantity": { "value": "87", "unit": "%" } }),
        ),
        ("oxygen.prescriber", json!({ "valueString": " " })),
        ("oxygen.test", json!({ "valueBoolean": true })),
        (
            "oxygen.dependent-edema",
            json!({ "valueBoolean": true, "valueString": "no" }),
        ),
    ] {
        let found = problems("home-oxygen", &json!([answered(link_id, answer.clone())]));
        assert_eq!(
            found,
            [(link_id.to_owned(), AnswerProblemKind::WrongType)],
            "{answer}"
        );
    }
    let fraction = json!([answered("visits.number", json!({ "valueInteger": 1.5 }))]);
    assert_eq!(
        problems("skilled-nursing-visits", &fraction)[0].1,
        AnswerProblemKind::WrongType
    );
}

#[test]
fn more_answers_than_the_question_allows_cannot_count() {
    let two = |first: &str, second: &str| {
        json!({ "linkId": "oxygen.test-condition", "answer": [
            { "valueCoding": { "code": first } }, { "valueCoding": { "code": second } } ] })
    };
    let many = [(
        "oxygen.test-condition".to_owned(),
        AnswerProblemKind::TooManyAnswers,
    )];
    assert_eq!(problems("home-oxygen", &json!([two("exercise", "sleep")])), many);
    assert_eq!(
        problems("home-oxygen", &json!([two("exercise", "exercise")])),
        many
    );
    let twice = json!([condition("exercise"), condition("sleep")]);
    let found = problems("home-oxygen", &twice);
    assert_eq!(found, [many[0].clone(), many[0].clone()], "both items are named");
}

#[test]
fn an_unknown_link_id_is_named() {
    let unknown = json!([answered("oxygen.liters", json!({ "valueInteger": 2 })), { "answer": [{ "valueInteger": 2 }] }]);
    let kinds = problems("home-oxygen", &unknown);
    assert_eq!(
        kinds,
        [
            ("oxygen.liters".to_owned(), AnswerProblemKind::UnknownQuestion),
            (String::new(), AnswerProblemKind::UnknownQuestion)
        ]
    );
}

#[test]
fn an_answer_to_a_question_that_is_not_asked_cannot_count() {
    let edema = || answered("oxygen.dependent-edema", json!({ "valueBoolean": true }));
    let disabled = [(
        "oxygen.dependent-edema".to_owned(),
        AnswerProblemKind::DisabledQuestion,
    )];
    assert_eq!(
        problems("home-oxygen", &json!([condition("on-oxygen"), edema()])),
        disabled
    );
    assert_eq!(
        problems("home-oxygen", &json!([condition("exercise"), edema()])),
        []
    );
    assert_eq!(
        problems("home-oxygen", &json!([edema()])),
        [],
        "no answer is not that answer"
    );
}

#[test]
fn conditions_follow_groups_numbers_and_answers_that_cannot_count() {
    let request = |code: &str| answered("pap.request", json!({ "valueCoding": { "code": code } }));
    let minutes = |n: i32| answered("pap.minutes-recorded", json!({ "valueInteger": n }));
    let index = || answered("pap.index", json!({ "valueDecimal": 17.5 }));
    let disabled = |items: Value| -> Vec<String> {
        let found = problems("positive-airway-pressure", &items);
        found
            .into_iter()
            .filter(|(_, kind)| *kind == AnswerProblemKind::DisabledQuestion)
            .map(|(id, _)| id)
            .collect()
    };
    assert!(disabled(json!([request("initial"), minutes(120), index()])).is_empty());
    assert_eq!(
        disabled(json!([request("initial"), minutes(119), index()])),
        ["pap.index"]
    );
    assert_eq!(
        disabled(json!([request("continuation"), minutes(120), index()])),
        ["pap.minutes-recorded", "pap.index"],
        "the group around them is not asked"
    );
    assert_eq!(
        disabled(json!([request("bogus"), minutes(120), index()])),
        ["pap.minutes-recorded", "pap.index"],
        "an answer that cannot count enables nothing"
    );
}

#[test]
fn a_nested_answer_has_its_path() {
    let forms = shipped();
    let day = chrono::NaiveDate::from_ymd_opt(2026, 10, 1).unwrap();
    let form = forms.find("home-oxygen", day).form().unwrap();
    let response = json!({ "item": [{ "linkId": "oxygen.test", "item": [
        { "linkId": "oxygen.spo2" }, condition("bogus") ] }] });
    let problem = &form.answer_problems(&response)[0];
    assert_eq!(problem.path, "item[0].item[1]");
    assert_eq!(
        problem.reason,
        "The answer 'bogus' is not an option of the question"
    );
}
