//! Quantities: a value with the unit in which it was sent. This module does not convert units.

use serde_json::Value;

/// A value and its unit, borrowed from the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity<'a> {
    /// `Quantity.value`.
    pub value: f64,
    /// `Quantity.code` (UCUM or X12 673), otherwise `Quantity.unit`.
    pub unit: Option<&'a str>,
    /// `Quantity.system`.
    pub system: Option<&'a str>,
}

impl<'a> Quantity<'a> {
    /// Reads a `Quantity`; `None` without a numeric value.
    pub fn read(quantity: &'a Value) -> Option<Self> {
        let text = |name: &str| quantity.get(name).and_then(Value::as_str);
        Some(Self {
            value: quantity.get("value")?.as_f64()?,
            unit: text("code").or_else(|| text("unit")),
            system: text("system"),
        })
    }
}

/// The UCUM code of an X12 quantity unit (data element 673), where one exists.
pub fn ucum_of_x12(unit: &str) -> Option<&'static str> {
    Some(match unit {
        "MO" => "mo",
        "DA" => "d",
        "WK" => "wk",
        "YR" => "a",
        "HR" | "HS" => "h",
        _ => return None,
    })
}
