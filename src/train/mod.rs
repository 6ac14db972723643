//! Training: batches, losses, optimizer, schedule, checkpoints; the cold start and the reinforcement
//! stage.

pub mod batch;
pub mod checkpoint;
pub mod cold_start;
pub mod contrast;
pub mod metrics;
pub mod objective;
pub mod optimizer;
pub mod rl;
pub mod run;
pub mod schedule;
pub mod stage;
pub mod thoughts;
pub mod token_loss;
pub mod training_set;

mod draws;
mod error;
mod events;

pub use error::TrainError;
pub use run::{RL, Training};
