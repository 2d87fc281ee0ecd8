//! Real Kubernetes control planes on loopback, for tests.
//!
//! | module | holds |
//! |---|---|
//! | [`assets`] | where the binaries are: named, cached, or built from the pinned modules in `tools/` |
//! | [`crds`] | CustomResourceDefinitions from pinned Go modules |
//! | [`keeper`] | processes that never outlive the test, however it ends |
//! | [`plane`] | one control plane: etcd, kube-apiserver, if wanted kube-controller-manager |
//! | [`kubectl`] | the real client |
//! | [`kubelet`] | a node that answers port-forwards and logs, and runs no containers |
//! | [`ports`] | ports that stay free while their server is down |
//! | [`programs`] | the programs under test |
//! | [`audit`] | what was asked of an API server, and by whom |
//! | [`suite`] | runs scenarios, or says plainly why they did not run |
//!
//! Invariants: everything listens on loopback, unless a builder is given another address;
//! every process and file belongs to a
//! [`keeper::Keeper`] and goes with it, also when the test is killed.

pub mod assets;
pub mod audit;
mod certificates;
pub mod crds;
pub mod keeper;
pub mod kubectl;
pub mod kubelet;
pub mod plane;
pub mod ports;
pub mod programs;
pub mod suite;
mod toolchain;

pub use assets::Assets;
pub use audit::AuditEvent;
pub use keeper::{Keeper, Process};
pub use kubelet::Kubelet;
pub use plane::{Builder, ControlPlane, EtcdBackup};
pub use ports::free_port;
pub use suite::{Scenario, Scene};
