//! The jobs under `mpirun`, against one process, and with a process that dies half-way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that is empty before a test and gone after it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("limpid-cluster-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name} in {}: {error}", self.0.display()))
    }

    fn files(&self, start: &str) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(start)).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn job(processes: usize, folder: &Path, arguments: &str) -> Output {
    let mut command = Command::new("mpirun");
    command.args(["-n", &processes.to_string(), "--oversubscribe"]).arg(env!("CARGO_BIN_EXE_limpid-cluster"));
    command.args(arguments.split_whitespace()).arg("--out").arg(folder);
    // mpirun refuses root without both
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.output().expect("these tests need mpirun: apt-get install openmpi-bin libopenmpi-dev libclang-dev")
}

fn finished(processes: usize, folder: &Folder, arguments: &str) -> String {
    let output = job(processes, &folder.0, arguments);
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const SAE: &str = "sae --steps 40 --checkpoint-every 10 --batch 256 --latents 96";

#[test]
fn a_collection_is_the_same_from_any_number_of_processes() {
    let folders = [Folder::new("one"), Folder::new("two"), Folder::new("three")];
    for (processes, folder) in (1..).zip(&folders) {
        finished(processes, folder, "collect");
    }
    let one = folders[0].read("collection.bin");
    assert!(one.len() > 1000);
    assert!(folders.iter().all(|folder| folder.read("collection.bin") == one));
}

#[test]
fn a_collection_goes_on_where_a_process_died() {
    let (whole, broken) = (Folder::new("whole"), Folder::new("broken"));
    finished(1, &whole, "collect --shard-rows 2000");
    assert!(!job(2, &broken.0, "collect --shard-rows 2000 --die-at 3").status.success());
    let kept = broken.files("collect-").len();
    assert!((3..20).contains(&kept), "{kept} shards were kept");
    // a shard whose file was damaged is computed again
    let damaged = broken.0.join(broken.files("collect-").first().unwrap());
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&damaged, bytes).unwrap();
    // another number of processes than before
    let said = finished(3, &broken, "collect --shard-rows 2000");
    assert!(said.contains("is damaged, and made again"), "{said}");
    assert_eq!(broken.read("collection.bin"), whole.read("collection.bin"));
}

/// The numbers of a safetensors file of single precision.
fn weights(folder: &Folder) -> Vec<f32> {
    let bytes = folder.read("sae/sae_weights.safetensors");
    let (length, rest) = bytes.split_first_chunk().unwrap();
    let data = &rest[usize::try_from(u64::from_le_bytes(*length)).unwrap()..];
    data.as_chunks().0.iter().map(|&number| f32::from_le_bytes(number)).collect()
}

#[test]
fn an_autoencoder_is_that_of_one_process_to_rounding() {
    let (one, two) = (Folder::new("sae-one"), Folder::new("sae-two"));
    finished(1, &one, SAE);
    finished(2, &two, SAE);
    let (one, two) = (weights(&one), weights(&two));
    assert_eq!(one.len(), two.len());
    let largest = one.iter().zip(&two).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(largest < 5e-3, "the largest difference is {largest}");
}

#[test]
fn training_goes_on_where_a_process_died() {
    let (whole, broken) = (Folder::new("sae-whole"), Folder::new("sae-broken"));
    finished(2, &whole, SAE);
    assert!(!job(2, &broken.0, &format!("{SAE} --die-at 25")).status.success());
    assert!(!broken.0.join("sae").exists());
    let said = finished(2, &broken, SAE);
    assert!(said.contains("goes on after step 20"), "{said}");
    assert_eq!(broken.read("sae/sae_weights.safetensors"), whole.read("sae/sae_weights.safetensors"));
}

#[test]
fn influence_is_the_same_from_any_number_of_processes_and_after_a_death() {
    const INFLUENCE: &str = "influence --shard-rows 300 --examples 2000 --queries 16";
    let (one, two, broken) = (Folder::new("inf-one"), Folder::new("inf-two"), Folder::new("inf-broken"));
    let said = finished(1, &one, INFLUENCE);
    finished(2, &two, INFLUENCE);
    // in the second of three passes: three shards of seven are the last process's
    assert!(!job(2, &broken.0, &format!("{INFLUENCE} --die-at 5")).status.success());
    assert!(broken.files("eigenvalues-").len() >= 2 && broken.files("top-").is_empty());
    finished(2, &broken, INFLUENCE);
    assert_eq!(one.read("influence.bin"), two.read("influence.bin"));
    assert_eq!(one.read("influence.bin"), broken.read("influence.bin"));
    // what is most influential has the label of the query far more often than by chance
    let share = said.lines().find_map(|line| line.split_once(" of them have the label")).unwrap().0;
    assert!(share.trim().parse::<f64>().unwrap() > 0.6, "{said}");
}

#[test]
fn the_state_of_another_job_is_not_mixed_in() {
    let folder = Folder::new("other");
    finished(1, &folder, "collect --seed 1");
    let output = job(1, &folder.0, "collect --seed 2");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("of a job with other options"), "{said}");
    finished(1, &folder, "collect --seed 2 --restart");
}
