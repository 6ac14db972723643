//! What the two stages of training share: state, optimizer, records, checkpoints, and how a run starts,
//! goes on and stops.

use super::TrainError;
use super::checkpoint::{self, RunState};
use super::events::EventLog;
use super::metrics::{MetricsLog, Progress};
use super::objective::{Losses, Objective};
use super::optimizer::{Optimizer, OptimizerOptions};
use super::schedule::Schedule;
use crate::device::Device;
use crate::embed::Pooling;
use crate::model::{Gradients, Model};
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// How a stage runs.
#[derive(Clone)]
pub struct Plan<'a> {
    /// Where checkpoints and metrics go.
    pub folder: &'a Path,
    /// What the run is made by: a checkpoint of another recipe is refused.
    pub recipe: String,
    pub schedule: Schedule,
    /// Steps between checkpoints; 0: only at the end.
    pub checkpoint_every: usize,
    pub optimizer: OptimizerOptions,
    pub pooling: Pooling,
    /// Name on the progress bar.
    pub label: &'a str,
    /// Set by a signal handler: save and stop.
    pub stop: &'a AtomicBool,
}

/// A stage under way.
pub struct Stage<'a, D: Device> {
    plan: Plan<'a>,
    pub state: RunState,
    pub objective: Objective<D>,
    pub gradients: Gradients<D>,
    optimizer: Optimizer<D>,
    log: MetricsLog,
    events: EventLog,
    progress: Progress,
    started: Instant,
}

/// What an update did.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    pub learning_rate: f32,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
}

impl<'a, D: Device> Stage<'a, D> {
    /// Starts, from the newest checkpoint of the folder where `resume` is set and there is one.
    ///
    /// # Errors
    /// A checkpoint that is damaged or of another recipe; a folder that cannot be written.
    pub fn start(plan: Plan<'a>, model: &mut Model<D>, resume: bool) -> Result<Self, TrainError> {
        let folder = plan.folder;
        std::fs::create_dir_all(folder).map_err(TrainError::io(folder))?;
        let mut optimizer = Optimizer::new(model, plan.optimizer)?;
        let resumed = if resume {
            checkpoint::resume(folder, &plan.recipe, model, &mut optimizer)?
        } else {
            None
        };
        let state = resumed.unwrap_or_else(|| RunState::new(&plan.recipe));
        Ok(Stage {
            log: MetricsLog::open(&folder.join("metrics.jsonl"), state.step)?,
            events: EventLog::open(folder, state.step)?,
            progress: Progress::new(plan.label, state.step, plan.schedule.steps),
            gradients: model.zero_gradients()?,
            objective: Objective::new(model, plan.pooling)?,
            started: Instant::now(),
            optimizer,
            state,
            plan,
        })
    }

    /// Whether another step is to be done; its clock starts now.
    pub fn begin_step(&mut self) -> bool {
        self.started = Instant::now();
        self.state.step < self.plan.schedule.steps
    }

    /// Seconds since the step began.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Moves the model along the gradients of `losses`, which are zeroed.
    ///
    /// # Errors
    /// [`TrainError::Diverged`] where the loss is not finite; the model is not touched then.
    pub fn update(&mut self, model: &mut Model<D>, losses: &Losses) -> Result<Update, TrainError> {
        let step = self.state.step;
        if !losses.loss.is_finite() {
            let loss = losses.loss;
            return Err(TrainError::Diverged { step, loss });
        }
        let learning_rate = self.plan.schedule.rate(step);
        let gradients = &mut self.gradients;
        Ok(Update {
            learning_rate,
            gradient_norm: self.optimizer.update(model, gradients, learning_rate)?,
        })
    }

    /// Ends a step: writes its record and, where it is time or a signal came, a checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] after a signal, with the state saved.
    pub fn end_step(
        &mut self,
        model: &Model<D>,
        record: &Value,
        summary: &str,
    ) -> Result<(), TrainError> {
        self.log.write(record)?;
        self.events.write(record)?;
        self.state.step += 1;
        self.state.updates = self.optimizer.updates;
        let (step, steps) = (self.state.step, self.plan.schedule.steps);
        self.progress.update(step, summary);
        let every = self.plan.checkpoint_every;
        let stop = self.plan.stop.load(Ordering::Relaxed);
        if stop || step == steps || (every > 0 && step.is_multiple_of(every)) {
            checkpoint::save(self.plan.folder, &self.state, model, &self.optimizer)?;
        }
        if stop && step < steps {
            return Err(TrainError::Interrupted { step });
        }
        Ok(())
    }

    /// Removes the progress bar.
    pub fn finish(self) {
        self.progress.finish();
    }
}
