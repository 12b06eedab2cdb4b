//! The first byte selects a file of the small rule set, and the other bytes become its text. Loading must end with a rule
//! set or with findings; a rule set must be able to evaluate the case document of the small set.

#![no_main]

use assent::rules::CaseDocument;
use assent_fuzz::{FILES, files, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((pick, text)) = bytes.split_first() else {
        return;
    };
    let mut files = files();
    files[usize::from(*pick) % FILES.len()].1 = String::from_utf8_lossy(text).into_owned();
    match load(&files) {
        Err(findings) => assert!(!findings.is_empty(), "refused without a finding"),
        Ok(set) => {
            let (_, case) = FILES
                .iter()
                .find(|(path, _)| path.starts_with("fixtures/"))
                .unwrap();
            let case = CaseDocument::from_json(serde_json::from_str(case).unwrap()).unwrap();
            assert_eq!(set.evaluate(&case), set.evaluate(&case));
        }
    }
});
