//! The oracle: every forward kernel in f64 and plain loops. It has no gradients.

pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// x Wᵀ + b.
pub fn linear(x: &[f64], weight: &[f64], bias: Option<&[f64]>, inputs: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for x in x.chunks(inputs) {
        for (output, weight) in weight.chunks(inputs).enumerate() {
            y.push(dot(x, weight) + bias.map_or(0.0, |bias| bias[output]));
        }
    }
    y
}

/// 2/√π e^(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (2n+1)!!, whose terms all have the sign of x.
fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, 0.0);
    for n in 1..200 {
        sum += term;
        term *= 2.0 * x * x / (2 * n + 1) as f64;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

pub fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
}

/// (x − mean) / deviation and 1 / deviation of one row.
pub fn normalized(row: &[f64], eps: f64) -> (Vec<f64>, f64) {
    let count = row.len() as f64;
    let mean = row.iter().sum::<f64>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
    let inverse = 1.0 / (variance + eps).sqrt();
    (row.iter().map(|x| (x - mean) * inverse).collect(), inverse)
}

pub fn layer_norm(x: &[f64], scale: &[f64], bias: &[f64], eps: f64) -> Vec<f64> {
    let mut y = Vec::new();
    for row in x.chunks(scale.len()) {
        for (index, value) in normalized(row, eps).0.iter().enumerate() {
            y.push(value * scale[index] + bias[index]);
        }
    }
    y
}

pub fn softmax(row: &[f64]) -> Vec<f64> {
    let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|x| (x - highest).exp()).sum();
    row.iter().map(|x| (x - highest).exp() / sum).collect()
}

/// softmax(q kᵀ / √d) v of each head of each example.
pub fn attention([q, k, v]: [&[f64]; 3], heads: usize, width: usize, lengths: &[usize]) -> Vec<f64> {
    let mut y = vec![0.0; q.len()];
    let mut start = 0;
    for &length in lengths {
        for head in 0..heads {
            let at = |token: usize| (start + token) * heads * width + head * width;
            for query in 0..length {
                let q = &q[at(query)..][..width];
                let score = |key| dot(q, &k[at(key)..][..width]) / (width as f64).sqrt();
                let scores: Vec<f64> = (0..length).map(score).collect();
                for (key, p) in softmax(&scores).iter().enumerate() {
                    for feature in 0..width {
                        y[at(query) + feature] += p * v[at(key) + feature];
                    }
                }
            }
        }
        start += length;
    }
    y
}

/// Mean over the rows of (1 − s) × (−log p of the label) + s × (mean of −log p).
pub fn cross_entropy(logits: &[f64], classes: usize, labels: &[usize], smoothing: f64) -> f64 {
    let mut sum = 0.0;
    for (row, &label) in logits.chunks(classes).zip(labels) {
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = highest + row.iter().map(|x| (x - highest).exp()).sum::<f64>().ln();
        let mean = row.iter().map(|x| log_sum - x).sum::<f64>() / classes as f64;
        sum += (1.0 - smoothing) * (log_sum - row[label]) + smoothing * mean;
    }
    sum / labels.len() as f64
}

pub fn gather(table: &[f64], features: usize, indices: &[u32]) -> Vec<f64> {
    indices.iter().flat_map(|&index| table[index as usize * features..][..features].to_vec()).collect()
}

pub fn mean_rows(x: &[f64], cols: usize, lengths: &[usize], skip: usize) -> Vec<f64> {
    let mut y = Vec::new();
    let mut start = 0;
    for &length in lengths {
        for col in 0..cols {
            let sum: f64 = (start + skip..start + length).map(|row| x[row * cols + col]).sum();
            y.push(if length <= skip { 0.0 } else { sum / (length - skip) as f64 });
        }
        start += length;
    }
    y
}

pub fn max_rows(x: &[f64], cols: usize, lengths: &[usize]) -> Vec<f64> {
    let mut y = Vec::new();
    let mut start = 0;
    for &length in lengths {
        for col in 0..cols {
            y.push((start..start + length).map(|row| x[row * cols + col]).fold(f64::NEG_INFINITY, f64::max));
        }
        start += length;
    }
    y
}

pub fn rows_at(x: &[f64], cols: usize, lengths: &[usize], at: usize) -> Vec<f64> {
    let mut y = Vec::new();
    let mut start = 0;
    for &length in lengths {
        y.extend(&x[(start + at) * cols..(start + at + 1) * cols]);
        start += length;
    }
    y
}

pub fn prepend_row(x: &[f64], row: &[f64], lengths: &[usize]) -> Vec<f64> {
    let mut y = Vec::new();
    let mut start = 0;
    for &length in lengths {
        y.extend(row);
        y.extend(&x[start * row.len()..(start + length) * row.len()]);
        start += length;
    }
    y
}

pub fn patches(pixels: &[f64], [batch, channels, height, width]: [usize; 4], size: usize) -> Vec<f64> {
    let mut y = Vec::new();
    for image in 0..batch {
        for top in (0..height).step_by(size) {
            for left in (0..width).step_by(size) {
                for channel in 0..channels {
                    for row in top..top + size {
                        for column in left..left + size {
                            y.push(pixels[((image * channels + channel) * height + row) * width + column]);
                        }
                    }
                }
            }
        }
    }
    y
}

/// One value under `torch.optim.AdamW`.
#[derive(Clone, Copy)]
pub struct Adam {
    pub value: f64,
    pub mean: f64,
    pub square: f64,
}

impl Adam {
    pub fn step(&mut self, gradient: f64, t: i32, [rate, beta1, beta2, eps, decay]: [f64; 5]) {
        self.value -= rate * decay * self.value;
        self.mean = beta1 * self.mean + (1.0 - beta1) * gradient;
        self.square = beta2 * self.square + (1.0 - beta2) * gradient * gradient;
        let mean = self.mean / (1.0 - beta1.powi(t));
        let square = self.square / (1.0 - beta2.powi(t));
        self.value -= rate * mean / (square.sqrt() + eps);
    }
}

/// One value and its velocity under `torch.optim.SGD` from a velocity of zero.
pub fn momentum(value: &mut f64, velocity: &mut f64, gradient: f64, [rate, momentum, decay]: [f64; 3]) {
    *velocity = momentum * *velocity + gradient + decay * *value;
    *value -= rate * *velocity;
}
