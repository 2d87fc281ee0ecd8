//! What must be so at one moment of a schedule.

/// What must be so at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Number of mirrors.
    Mirrors(usize),
    /// Least number of mirrors.
    LeastMirrors(usize),
    /// Number of ready endpoints of mirrors.
    Ready(usize),
    /// Least number of ready endpoints of mirrors.
    LeastReady(usize),
    /// Number of endpoints of mirrors, ready or not.
    Endpoints(usize),
    /// Number of ServiceImports.
    Imports(usize),
    /// Least number of ServiceImports.
    LeastImports(usize),
    /// Number of ready endpoints of ServiceImports.
    Imported(usize),
    /// Mirrors and imports are exactly what the sources export.
    Exact,
    /// Largest number of writes since the storm began.
    Writes(u64),
}
