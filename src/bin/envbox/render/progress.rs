//! Progress: bars on a terminal, warnings everywhere, nothing else.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use envbox::base::{Event, Reporter};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::render;

/// Shows what happens on standard error.
pub(crate) struct Progress {
    bars: Option<Mutex<Bars>>,
}

struct Bars {
    screen: MultiProgress,
    stages: BTreeMap<String, ProgressBar>,
    transfers: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Shows bars if a person looks on.
    pub(crate) fn new(terminal: bool) -> Self {
        let bars = terminal.then(|| {
            Mutex::new(Bars {
                screen: MultiProgress::new(),
                stages: BTreeMap::new(),
                transfers: BTreeMap::new(),
            })
        });
        Self { bars }
    }
}

impl Reporter for Progress {
    fn report(&self, event: Event) {
        match (&self.bars, event) {
            (None, Event::Warning { message }) => render::warning(&message),
            (None, _) => {}
            (Some(bars), event) => bars
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .show(event),
        }
    }
}

impl Bars {
    fn show(&mut self, event: Event) {
        match event {
            Event::StageStarted { stage, total } => {
                let bar = self.screen.add(match total {
                    Some(total) => ProgressBar::new(total).with_style(style("{msg} {pos}/{len}")),
                    None => ProgressBar::new_spinner().with_style(style("{msg} …")),
                });
                bar.set_message(stage.clone());
                bar.tick();
                self.stages.insert(stage, bar);
            }
            Event::ItemFinished { stage, .. } => {
                if let Some(bar) = self.stages.get(&stage) {
                    bar.inc(1);
                }
            }
            Event::StageFinished { stage } => finish(self.stages.remove(&stage)),
            Event::DownloadStarted { file, size } | Event::UploadStarted { file, size } => {
                let line = "  {bytes:>11} / {total_bytes:11} {wide_msg}";
                let bar = self
                    .screen
                    .add(ProgressBar::new(size).with_style(style(line)));
                bar.set_message(file.clone());
                self.transfers.insert(file, bar);
            }
            Event::DownloadProgress { file, bytes } | Event::UploadProgress { file, bytes } => {
                if let Some(bar) = self.transfers.get(&file) {
                    bar.inc(bytes);
                }
            }
            Event::DownloadFinished { file, .. } | Event::UploadFinished { file, .. } => {
                finish(self.transfers.remove(&file));
            }
            Event::Warning { message } => {
                self.screen.suspend(|| render::warning(&message));
            }
            _ => {}
        }
    }
}

fn finish(bar: Option<ProgressBar>) {
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are valid")
}
