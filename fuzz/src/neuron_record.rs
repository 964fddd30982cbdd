//! Any bytes as records and simulations of a neuron: refused with an error, or written and read back to the same text.

use limpid::formats::neuron_record::{read_neuron_record, write_neuron_record};
use limpid::formats::scored_simulation::{
    read_scored_simulation, read_simulation_results, write_scored_simulation, write_simulation_results,
};

// NaN may stand in them and differs from itself: texts are compared
/// Does what these bytes say.
pub fn fuzz(bytes: &[u8]) {
    if let Ok(record) = read_neuron_record::<f64>(bytes) {
        let text = write_neuron_record(&record).expect("what was read can be written");
        let again = read_neuron_record::<f64>(text.as_bytes()).expect("what was written can be read");
        assert_eq!(write_neuron_record(&again).as_ref(), Ok(&text));
        let _ = (record.max_activation(), record.relu_max());
    }
    if let Ok(scored) = read_scored_simulation::<f64>(bytes) {
        let text = write_scored_simulation(&scored).expect("what was read can be written");
        let again = read_scored_simulation::<f64>(text.as_bytes()).expect("what was written can be read");
        assert_eq!(write_scored_simulation(&again).as_ref(), Ok(&text));
    }
    if let Ok(results) = read_simulation_results::<f32>(bytes) {
        let text = write_simulation_results(&results).expect("what was read can be written");
        let again = read_simulation_results::<f32>(text.as_bytes()).expect("what was written can be read");
        assert_eq!(write_simulation_results(&again).as_ref(), Ok(&text));
    }
}
