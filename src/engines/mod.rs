//! One step as the template of an engine that runs containers: by the image's digest.
//!
//! Comes in: an [`EngineStep`]. Goes out: text in the engine's own language, which says nothing that
//! does not follow from the step: [`kubernetes_job`], [`argo_workflow`], [`airflow_dag`],
//! [`kubeflow_pipeline`], [`nextflow_pipeline`]. What an engine has no words for is said at the top
//! of its template.
//!
//! **Invariant:** the same step gives the same bytes (`tests::templates_are_a_function`).
//! **Invariant:** a word of the command reaches the step as it is, whatever the engine takes for its
//! own: it is escaped, or refused (`tests::what_an_engine_would_replace`).

mod airflow;
mod argo;
mod claim;
mod error;
mod gpu;
mod kubeflow;
mod kubernetes;
mod name;
mod nextflow;
mod notes;
mod pod;
mod python;
mod step;
#[cfg(test)]
mod tests;
mod yaml;

pub use airflow::airflow_dag;
pub use argo::argo_workflow;
pub use claim::Claim;
pub use error::EngineError;
pub use gpu::{EngineGpu, NodeLabel};
pub use kubeflow::kubeflow_pipeline;
pub use kubernetes::kubernetes_job;
pub use name::StepName;
pub use nextflow::{NextflowPipeline, nextflow_pipeline};
pub use notes::lost;
pub use step::{Code, EngineStep, Memory, Network, Supervision};
