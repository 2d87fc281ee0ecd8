//! Label and field selectors, in Kubernetes' grammar: parsed once, matched often.

mod field;
mod label;
mod lexer;

pub use field::{FieldSelector, FieldTerm, InvalidFieldSelector};
pub use label::{InvalidSelector, LabelSelector, Operator, Requirement};
