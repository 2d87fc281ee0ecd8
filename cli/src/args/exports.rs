//! Flags of `exports`.

use clap::Args;

#[derive(Debug, Clone, Args)]
pub(crate) struct Exports {
    /// Labels of the Services
    #[arg(
        short = 'l',
        long,
        value_name = "SELECTOR",
        default_value = "heliograph.dev/export=true"
    )]
    pub(crate) selector: String,

    /// Namespaces of the Services; default: all
    #[arg(long, value_name = "NAMESPACE,...", value_delimiter = ',')]
    pub(crate) namespaces: Vec<String>,

    /// Labels that the imports get from their Services
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub(crate) exported_labels: Vec<String>,

    /// Annotations that the imports get from their Services
    #[arg(long, value_name = "KEY,...", value_delimiter = ',')]
    pub(crate) exported_annotations: Vec<String>,
}
