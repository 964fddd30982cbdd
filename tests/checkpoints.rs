//! A process that is killed at any moment leaves a checkpoint that is whole, and a run that goes on from it ends as if
//! nothing had happened.

use core::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use limpid::files::write_atomically;
use limpid::sae::train::{Finish, Preset, SaeTraining, Trainer, train_sae};
use limpid::superposition::FeatureDistribution;
use limpid::{Error, Seed};
use ndarray::Array2;

const CHILD: &str = "LIMPID_TEST_CHECKPOINT_FOLDER";
const WIDTH: usize = 8;
const STEPS: usize = 1500;

fn settings() -> SaeTraining {
    Preset::TopK.recipe::<f32>(WIDTH, 64, 4, STEPS, Seed(7)).unwrap().training
}

/// From the checkpoint in `folder`, or from the start.
fn trainer(folder: &Path) -> Trainer<f32> {
    match std::fs::read(folder.join("checkpoint")) {
        Ok(bytes) => Trainer::resume(settings(), &bytes).expect("the last checkpoint is whole"),
        Err(_) => Trainer::new(Preset::TopK.recipe(WIDTH, 64, 4, STEPS, Seed(7)).unwrap().sae, settings()).unwrap(),
    }
}

/// Goes on to the end, with a checkpoint after every step.
fn go_on(folder: &Path, checkpoints: bool) -> Trainer<f32> {
    let law = FeatureDistribution::<f32>::uniform(WIDTH, 0.2).unwrap();
    let mut item = 0;
    let next = || -> Result<Option<Array2<f32>>, Error> {
        item += 1;
        law.sample(32, Seed(item)).map(Some)
    };
    let mut trainer = trainer(folder);
    let finish = train_sae(&mut trainer, next, |trainer, _| {
        if checkpoints {
            write_atomically(&folder.join("checkpoint"), &trainer.checkpoint()).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(finish, Ok(Finish::Done));
    trainer
}

/// Only in a process that the test below starts.
#[test]
fn child() {
    if let Some(folder) = std::env::var_os(CHILD) {
        go_on(Path::new(&folder), true);
    }
}

fn spawn(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child"]).env(CHILD, folder).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

#[test]
fn a_killed_run_goes_on_as_if_nothing_had_happened() {
    let folder: PathBuf = std::env::temp_dir().join(format!("limpid-checkpoints-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (mut kills, mut steps) = (0, 0);
    for round in 0..12_u64 {
        let mut child = spawn(&folder);
        // times that fall into reading, stepping, writing and renaming
        std::thread::sleep(Duration::from_millis(40 + 37 * (round * 7 % 5)));
        kills += usize::from(child.kill().is_ok() && !child.wait().unwrap().success());
        let done = trainer(&folder).steps_done();
        assert!(done >= steps, "a kill lost steps: {done} after {steps}");
        steps = done;
    }
    assert!(kills > 0 && steps > 0, "{kills} kills, {steps} steps: the machine is too slow or too fast for this test");
    let resumed = go_on(&folder, false);
    let whole = go_on(&folder.join("nowhere"), false);
    assert_eq!(resumed.checkpoint(), whole.checkpoint());
    std::fs::remove_dir_all(&folder).unwrap();
}
