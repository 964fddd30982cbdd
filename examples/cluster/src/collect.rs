//! Statistics of every neuron over a file of activations.

use limpid::Seed;
use limpid::explanation::Side;
use limpid::explanation::collect::{Batch, CollectSettings, Collector};
use limpid::files::write_atomically;
use limpid::math::merge::Bytes;
use ndarray::Axis;

use crate::Result;
use crate::data::Data;
use crate::job::{Job, hash};
use crate::options::Options;
use crate::world::World;

pub(crate) fn run(world: &World, options: &Options, mut data: Data) -> Result<()> {
    let settings = CollectSettings { quantile_bits: Some(3), seed: Seed(options.seed), ..CollectSettings::default() };
    let (rows, width, shard_rows) = (data.rows(), data.width(), options.shard_rows);
    let mut job = Job::new(world, options, &format!("collect {settings:?} {rows} {width} {shard_rows}"));
    let shards = rows.div_ceil(shard_rows) as u64;
    let total = job.over_shards("collect", shards, |shard| {
        let from = usize::try_from(shard)? * shard_rows;
        let mut collector = Collector::new(width, settings, shard)?;
        for stretch in data.documents(from..(from + shard_rows).min(rows))? {
            let activations = stretch.activations.view().insert_axis(Axis(0));
            let (documents, first) = ([stretch.document], [stretch.position]);
            let batch = Batch { documents: &documents, first_positions: Some(&first), ..Batch::default() };
            collector.update(&activations, &batch)?;
        }
        Ok(collector)
    })?;
    total.map_or(Ok(()), |total| report(&job, &total))
}

fn report(job: &Job<'_>, total: &Collector) -> Result<()> {
    let bytes = total.to_bytes();
    let path = job.path("collection.bin");
    write_atomically(&path, &bytes)?;
    println!("{} tokens of {} sequences, {} neurons", total.tokens_seen(), total.sequences(), total.neurons().len());
    println!("{:>8} {:>10} {:>10} {:>10}   document:position", "neuron", "mean", "kurtosis", "largest");
    let kurtosis = |neuron: usize| total.neuron(neuron).and_then(|stats| stats.moments().excess_kurtosis());
    let mut order: Vec<usize> = (0..total.neurons().len()).filter(|&neuron| kurtosis(neuron).is_some()).collect();
    order.sort_by(|&a, &b| kurtosis(b).partial_cmp(&kurtosis(a)).unwrap_or(core::cmp::Ordering::Equal).then(a.cmp(&b)));
    for &neuron in order.iter().take(job.options.top) {
        let Some((stats, kurtosis)) = total.neuron(neuron).zip(kurtosis(neuron)) else { continue };
        let (mean, top) = (stats.moments().mean().unwrap_or(f64::NAN), stats.top(Side::Positive));
        if let Some(hit) = top.first() {
            println!(
                "{neuron:>8} {mean:>10.4} {kurtosis:>10.3} {:>10.4}   {}:{}",
                hit.value, hit.document, hit.position
            );
        }
    }
    println!("{}: {} bytes, {:016x}", path.display(), bytes.len(), hash(&bytes));
    Ok(())
}
