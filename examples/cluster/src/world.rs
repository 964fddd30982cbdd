//! The processes of a job, and the few ways in which they speak to each other.

use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Equivalence, Root, Source};

use crate::Result;

/// Bytes of one message: their number must fit 31 bits.
const MESSAGE: usize = 1 << 30;

/// All processes of a job; a program that was not started by `mpirun` is alone.
pub(crate) struct World {
    // dropped last: it ends MPI
    all: SimpleCommunicator,
    _universe: Universe,
}

impl World {
    pub(crate) fn join() -> Result<Self> {
        let universe = mpi::initialize().ok_or("MPI is running already")?;
        Ok(Self { all: universe.world(), _universe: universe })
    }

    pub(crate) fn rank(&self) -> usize {
        usize::try_from(self.all.rank()).unwrap_or(0)
    }

    pub(crate) fn size(&self) -> usize {
        usize::try_from(self.all.size()).unwrap_or(1)
    }

    /// Whether this process speaks for all.
    pub(crate) fn leads(&self) -> bool {
        self.all.rank() == 0
    }

    /// Waits until every process is here.
    pub(crate) fn wait(&self) {
        self.all.barrier();
    }

    /// Ends all processes at once, so that none waits for one that has failed.
    pub(crate) fn abort(&self) -> ! {
        self.all.abort(1)
    }

    /// Gives the bytes of the leader to all.
    pub(crate) fn broadcast(&self, bytes: &mut Vec<u8>) {
        let root = self.all.process_at_rank(0);
        let mut length = bytes.len() as u64;
        root.broadcast_into(&mut length);
        bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        bytes.chunks_mut(MESSAGE).for_each(|part| root.broadcast_into(part));
    }

    /// The bytes of all, by rank, at the leader; nothing elsewhere.
    pub(crate) fn gather(&self, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        if !self.leads() {
            let root = self.all.process_at_rank(0);
            root.send(&(bytes.len() as u64));
            bytes.chunks(MESSAGE).for_each(|part| root.send(part));
            return Vec::new();
        }
        let mut all = vec![bytes];
        for rank in 1..self.all.size() {
            let other = self.all.process_at_rank(rank);
            let (length, _) = other.receive::<u64>();
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
            bytes.chunks_mut(MESSAGE).for_each(|part| {
                other.receive_into(part);
            });
            all.push(bytes);
        }
        all
    }

    /// Sums over all processes, in place.
    pub(crate) fn sum<T: Equivalence + Copy>(&self, values: &mut [T]) {
        self.reduce(values, SystemOperation::sum());
    }

    /// Which flags any process has raised, in place.
    pub(crate) fn any(&self, flags: &mut [bool]) {
        let mut bytes: Vec<u8> = flags.iter().map(|&flag| flag.into()).collect();
        self.reduce(&mut bytes, SystemOperation::max());
        flags.iter_mut().zip(bytes).for_each(|(flag, byte)| *flag = byte > 0);
    }

    /// The smallest number of all processes.
    pub(crate) fn least(&self, number: f64) -> f64 {
        let mut numbers = [number];
        self.reduce(&mut numbers, SystemOperation::min());
        numbers[0]
    }

    fn reduce<T: Equivalence + Copy>(&self, values: &mut [T], operation: SystemOperation) {
        for part in values.chunks_mut(MESSAGE / 8) {
            let own = part.to_vec();
            self.all.all_reduce_into(&own[..], part, operation);
        }
    }
}
