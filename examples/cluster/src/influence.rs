//! Influence functions in three passes over the training data, each a map over shards and a merge.
//!
//! ```text
//! 1  rows -> covariances of every layer      merged, given to all: eigenbases
//! 2  rows -> corrected eigenvalues           merged, given to all: EK-FAC, preconditioned queries
//! 3  rows -> most influential examples       merged
//! ```

use limpid::files::write_atomically;
use limpid::influence::{
    Bias, CovarianceAccumulator, Curvature, EigenBasis, EigenvalueAccumulator, End, Examples, LayerCurvature,
    LayerRows, LayerSpec, QuerySettings, Spectral, TopK,
};
use limpid::math::merge::{Bytes, Merge, Reader};
use limpid::{Error, Seed};

use crate::Result;
use crate::classifier::{CLASSES, Classifier, Rows};
use crate::job::{Job, hash};
use crate::options::Options;
use crate::world::World;

/// Queries lie behind all training examples.
const QUERIES_FROM: usize = 1 << 40;

/// One accumulator per layer.
#[derive(Clone)]
struct Layers<A>(Vec<A>);

impl<A: Merge> Merge for Layers<A> {
    fn merge(&mut self, other: &Self) -> limpid::Result<()> {
        self.0.iter_mut().zip(&other.0).try_for_each(|(layer, other)| layer.merge(other))
    }
}

impl<A: Bytes> Bytes for Layers<A> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend((self.0.len() as u64).to_le_bytes());
        self.0.iter().for_each(|layer| layer.write(out));
    }

    fn read(input: &mut Reader<'_>) -> limpid::Result<Self> {
        let layers = input.count(1, "a number of layers")?;
        Ok(Self((0..layers).map(|_| A::read(input)).collect::<limpid::Result<_>>()?))
    }
}

pub(crate) fn run(world: &World, options: &Options) -> Result<()> {
    let Options { examples, queries, top, seed, shard_rows, .. } = *options;
    let mut job = Job::new(world, options, &format!("influence {:?}", (examples, queries, top, seed, shard_rows)));
    let model = Classifier::trained(Seed(seed))?;
    let shards = examples.div_ceil(shard_rows) as u64;
    let rows_of = |shard: u64| -> Result<(usize, Rows)> {
        let from = usize::try_from(shard)? * shard_rows;
        Ok((from, model.rows(from..(from + shard_rows).min(examples))?))
    };

    let covariances = job.over_shards("covariance", shards, |shard| {
        let (_, rows) = rows_of(shard)?;
        let of_layer = |(number, rows): (usize, &LayerRows<'_, f64>)| {
            let mut covariance = CovarianceAccumulator::new(LayerSpec::of(number as u64, rows))?;
            covariance.update(rows).map(|()| covariance)
        };
        Ok(Layers(layers(&rows)?.iter().enumerate().map(of_layer).collect::<limpid::Result<_>>()?))
    })?;
    let covariances: Layers<CovarianceAccumulator> = given_to_all(world, covariances)?;
    let bases: Vec<EigenBasis> = covariances.0.iter().map(EigenBasis::new).collect::<limpid::Result<_>>()?;

    let eigenvalues = job.over_shards("eigenvalues", shards, |shard| {
        let (_, rows) = rows_of(shard)?;
        let of_layer = |(basis, rows): (&EigenBasis, &LayerRows<'_, f64>)| {
            let mut eigenvalues = EigenvalueAccumulator::new(basis);
            eigenvalues.update(basis, rows).map(|()| eigenvalues)
        };
        Ok(Layers(bases.iter().zip(&layers(&rows)?).map(of_layer).collect::<limpid::Result<_>>()?))
    })?;
    let eigenvalues: Layers<EigenvalueAccumulator> = given_to_all(world, eigenvalues)?;
    let ekfac = bases.iter().zip(&eigenvalues.0).map(|(basis, values)| LayerCurvature::ekfac(basis.clone(), values));
    let curvature = Curvature::new(ekfac.collect::<limpid::Result<_>>()?);

    let asked = model.rows(QUERIES_FROM..QUERIES_FROM + queries)?;
    let prepared = curvature.queries(&Spectral::default(), &layers(&asked)?, &QuerySettings::default())?;
    let best = job.over_shards("top", shards, |shard| {
        let (from, rows) = rows_of(shard)?;
        let mut best = TopK::new(queries, top, End::Largest)?;
        prepared.scan(&layers(&rows)?, from as u64, &mut best)?;
        Ok(best)
    })?;
    best.map_or(Ok(()), |best| report(&job, &model, &asked, &best))
}

fn layers(rows: &Rows) -> limpid::Result<Vec<LayerRows<'_, f64>>> {
    let layers = rows.a.iter().zip(&rows.g);
    layers.map(|(a, g)| Ok(LayerRows::new(a, g, Examples::EachRow)?.with_bias(Bias::Homogeneous))).collect()
}

/// What the leader has, at every process.
fn given_to_all<A: Bytes>(world: &World, state: Option<A>) -> Result<A> {
    let mut bytes = state.map_or_else(Vec::new, |state| state.to_bytes());
    world.broadcast(&mut bytes);
    Ok(A::from_bytes(&bytes)?)
}

fn report(job: &Job<'_>, model: &Classifier, asked: &Rows, best: &TopK) -> Result<()> {
    let bytes = best.to_bytes();
    let path = job.path("influence.bin");
    write_atomically(&path, &bytes)?;
    println!("{:>6} {:>6}   most influential: example (label) score", "query", "label");
    let mut same = 0;
    let mut all = 0;
    for query in 0..best.queries() {
        let mut line = format!("{query:>6} {:>6}  ", asked.labels[query]);
        for (place, found) in best.of(query).iter().enumerate() {
            let example = usize::try_from(found.id)?;
            let label = *model.rows(example..example + 1)?.labels.first().ok_or(Error::Empty { what: "example" })?;
            same += usize::from(label == asked.labels[query]);
            all += 1;
            if place < 3 {
                line += &format!(" {} ({label}) {:.3}", found.id, found.score);
            }
        }
        if query < 8 {
            println!("{line}");
        }
    }
    let share = same as f64 / all as f64;
    println!("{share:.3} of them have the label of their query; by chance {:.3}", 1.0 / CLASSES as f64);
    println!("{}: {} bytes, {:016x}", path.display(), bytes.len(), hash(&bytes));
    Ok(())
}
