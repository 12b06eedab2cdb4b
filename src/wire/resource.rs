//! Resource types as types, for the access rule in a handler's signature (`super::caller`).

/// A FHIR resource type that a scope can name.
pub trait ResourceType: Send + Sync + 'static {
    /// The type's name in FHIR, such as `Claim`.
    const NAME: &'static str;
}

/// Declares a marker type for each resource type; the marker's name is the FHIR name.
macro_rules! resource_types {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name;

            impl ResourceType for $name {
                const NAME: &'static str = stringify!($name);
            }
        )*
    };
}

resource_types! {
    /// A PAS request or inquiry.
    Claim,
    /// A member's coverage.
    Coverage,
    /// A prior authorization as the member's apps see it.
    ExplanationOfBenefit,
    /// A place of service.
    Location,
    /// A provider organization or the payer.
    Organization,
    /// The member.
    Patient,
    /// An individual provider.
    Practitioner,
    /// A form of the plan.
    Questionnaire,
    /// A form with its answers.
    QuestionnaireResponse,
    /// A partner's subscription to PAS notifications.
    Subscription,
}
