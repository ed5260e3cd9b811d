//! The oracle for images: kernels over `[images * height * width, channels]` in f64 and plain loops.

use taps::kernels::{Activation, Grid, Window};

/// Rows of the input under each position of the window, with the number of the tap each is under.
pub fn under(grid: Grid, window: Window) -> Vec<Vec<(usize, usize)>> {
    let [lines, columns] = window.size;
    let fits = |length: usize, pad: [usize; 2], size: usize| (length + pad[0] + pad[1] - size) / window.stride + 1;
    let mut all = Vec::new();
    for image in 0..grid.images {
        for top in 0..fits(grid.height, window.rows, lines) {
            for left in 0..fits(grid.width, window.cols, columns) {
                let mut found = Vec::new();
                for tap in 0..lines * columns {
                    let y = (top * window.stride + tap / columns) as isize - window.rows[0] as isize;
                    let x = (left * window.stride + tap % columns) as isize - window.cols[0] as isize;
                    if (0..grid.height as isize).contains(&y) && (0..grid.width as isize).contains(&x) {
                        let row = (image * grid.height + y as usize) * grid.width + x as usize;
                        found.push((row, tap));
                    }
                }
                all.push(found);
            }
        }
    }
    all
}

/// Convolution with `weight [out, channels / groups, lines, columns]`.
pub fn conv(
    x: &[f64],
    channels: usize,
    under: &[Vec<(usize, usize)>],
    weight: &[f64],
    taps: usize,
    groups: usize,
) -> Vec<f64> {
    let inputs = channels / groups;
    let outputs = weight.len() / (inputs * taps);
    let mut y = Vec::new();
    for pixels in under {
        for output in 0..outputs {
            let first = output / (outputs / groups) * inputs;
            let mut sum = 0.0;
            for &(row, tap) in pixels {
                for input in 0..inputs {
                    sum += x[row * channels + first + input] * weight[(output * inputs + input) * taps + tap];
                }
            }
            y.push(sum);
        }
    }
    y
}

/// An epilogue over `y [rows, channels]`.
pub fn epilogue(
    y: &[f64],
    channels: usize,
    scale: Option<&[f64]>,
    shift: Option<&[f64]>,
    residual: Option<&[f64]>,
    activation: Activation,
) -> Vec<f64> {
    let each = y.iter().enumerate().map(|(index, value)| {
        let value = value * scale.map_or(1.0, |scale| scale[index % channels]);
        let value = value + shift.map_or(0.0, |shift| shift[index % channels]);
        let value = value + residual.map_or(0.0, |residual| residual[index]);
        match activation {
            Activation::None => value,
            Activation::Relu => value.max(0.0),
            Activation::Relu6 => value.clamp(0.0, 6.0),
        }
    });
    each.collect()
}

/// The highest value of each channel under each position of the window.
pub fn max_pool(x: &[f64], channels: usize, under: &[Vec<(usize, usize)>]) -> Vec<f64> {
    let value = |pixels: &Vec<(usize, usize)>, channel| {
        pixels.iter().map(|(row, _)| x[row * channels + channel]).fold(f64::NEG_INFINITY, f64::max)
    };
    under.iter().flat_map(|pixels| (0..channels).map(move |channel| value(pixels, channel))).collect()
}

/// The gradient of the input of [`max_pool`]: the first of the highest values gets it.
pub fn max_pool_grad(dy: &[f64], x: &[f64], channels: usize, under: &[Vec<(usize, usize)>]) -> Vec<f64> {
    let mut dx = vec![0.0; x.len()];
    let highest = max_pool(x, channels, under);
    for (index, dy) in dy.iter().enumerate() {
        let mut at = under[index / channels].iter().map(|(row, _)| row * channels + index % channels);
        if let Some(first) = at.find(|&at| x[at] == highest[index]) {
            dx[first] += dy;
        }
    }
    dx
}

pub fn average_pool(x: &[f64], channels: usize, under: &[Vec<(usize, usize)>]) -> Vec<f64> {
    let mut y = Vec::new();
    for pixels in under {
        for channel in 0..channels {
            let sum: f64 = pixels.iter().map(|(row, _)| x[row * channels + channel]).sum();
            y.push(sum / pixels.len() as f64);
        }
    }
    y
}

/// Mean and variance of each column.
pub fn moments(x: &[f64], cols: usize) -> (Vec<f64>, Vec<f64>) {
    let rows = (x.len() / cols).max(1) as f64;
    let mean = |value: &dyn Fn(usize, f64) -> f64| -> Vec<f64> {
        (0..cols).map(|col| x.iter().skip(col).step_by(cols).map(|&x| value(col, x)).sum::<f64>() / rows).collect()
    };
    let means = mean(&|_, x| x);
    let variances = mean(&|col, x| (x - means[col]) * (x - means[col]));
    (means, variances)
}

/// (x − mean) / √(variance + eps) · scale + bias of each column.
pub fn batch_norm(x: &[f64], [scale, bias, mean, variance]: [&[f64]; 4], eps: f64) -> Vec<f64> {
    let cols = scale.len();
    let value = |(index, x): (usize, &f64)| {
        let col = index % cols;
        (x - mean[col]) / (variance[col] + eps).sqrt() * scale[col] + bias[col]
    };
    x.iter().enumerate().map(value).collect()
}

/// Every `stride`-th pixel of every `stride`-th line, between channels of zeros.
pub fn subsample_pad(x: &[f64], channels: usize, grid: Grid, stride: usize, [before, after]: [usize; 2]) -> Vec<f64> {
    let mut y = Vec::new();
    for image in 0..grid.images {
        for line in (0..grid.height).step_by(stride) {
            for column in (0..grid.width).step_by(stride) {
                let row = (image * grid.height + line) * grid.width + column;
                y.extend(std::iter::repeat_n(0.0, before));
                y.extend(&x[row * channels..(row + 1) * channels]);
                y.extend(std::iter::repeat_n(0.0, after));
            }
        }
    }
    y
}
