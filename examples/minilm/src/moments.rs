//! What one neuron does over a text, in one pass: moments, how often it is active, where it is most.

/// Documents whose largest activations are kept.
pub(crate) const TOP: usize = 5;

/// The largest activation of a document.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Peak {
    pub(crate) value: f32,
    pub(crate) row: u64,
    pub(crate) document: u32,
}

/// Running sums of one neuron.
#[derive(Debug, Clone, Default)]
pub(crate) struct Neuron {
    count: f64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
    active: u64,
    /// Of different documents, largest first.
    top: Vec<Peak>,
}

impl Neuron {
    /// Adds a value. Source: Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances" (2008).
    pub(crate) fn add(&mut self, peak: Peak) {
        let before = self.count;
        self.count += 1.0;
        let n = self.count;
        let delta = f64::from(peak.value) - self.mean;
        let step = delta / n;
        let square = step * step;
        let term = delta * step * before;
        self.mean += step;
        self.m4 += term * square * (n * n - 3.0 * n + 3.0) + 6.0 * square * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
        self.active += u64::from(peak.value > 0.0);
        if self.top.len() < TOP || self.top.last().is_some_and(|last| peak.value > last.value) {
            self.keep(peak);
        }
    }

    fn keep(&mut self, peak: Peak) {
        // one phrase that excites a neuron token after token would fill the list
        if let Some(same) = self.top.iter().position(|other| other.document == peak.document) {
            if self.top[same].value >= peak.value {
                return;
            }
            self.top.remove(same);
        }
        let at = self.top.partition_point(|other| other.value >= peak.value);
        self.top.insert(at, peak);
        self.top.truncate(TOP);
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Excess kurtosis, 0 for a normal distribution and for a neuron that never changes.
    pub(crate) fn kurtosis(&self) -> f64 {
        if self.m2 > 0.0 { self.count * self.m4 / (self.m2 * self.m2) - 3.0 } else { 0.0 }
    }

    /// Share of tokens with an activation above 0.
    pub(crate) fn active_share(&self) -> f64 {
        self.active as f64 / self.count.max(1.0)
    }

    pub(crate) fn top(&self) -> &[Peak] {
        &self.top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[(f32, u32)]) -> Neuron {
        let mut neuron = Neuron::default();
        (0..).zip(values).for_each(|(row, &(value, document))| neuron.add(Peak { value, row, document }));
        neuron
    }

    #[test]
    fn moments_are_those_of_two_passes() {
        let values = [1.0, -2.0, 0.5, 8.0, -0.25, 0.0, 3.0_f32];
        let neuron = of(&values.map(|value| (value, 0)));
        let mean = values.iter().sum::<f32>() / 7.0;
        let power = |k: i32| values.iter().map(|v| f64::from(v - mean).powi(k)).sum::<f64>() / 7.0;
        assert!((neuron.mean() - f64::from(mean)).abs() < 1e-6);
        assert!((neuron.kurtosis() - (power(4) / power(2).powi(2) - 3.0)).abs() < 1e-5);
        assert!((neuron.active_share() - 4.0 / 7.0).abs() < 1e-12);
        assert_eq!((of(&[(2.0, 0), (2.0, 0)]).kurtosis(), of(&[]).active_share()), (0.0, 0.0));
    }

    #[test]
    fn each_document_is_in_the_top_once() {
        let neuron = of(&[(3.0, 0), (5.0, 0), (4.0, 0), (1.0, 1), (9.0, 2), (2.0, 3), (0.0, 4), (2.0, 5), (-1.0, 6)]);
        let top: Vec<_> = neuron.top().iter().map(|peak| (peak.value, peak.document, peak.row)).collect();
        assert_eq!(top, [(9.0, 2, 4), (5.0, 0, 1), (2.0, 3, 5), (2.0, 5, 7), (1.0, 1, 3)]);
    }
}
