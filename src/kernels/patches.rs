//! Images cut into patches, so that a patch embedding is a linear layer.

use super::{Tensor, Workspace};

/// Cuts images `[batch, channels, height, width]` into square patches of `size`, row by row:
/// `[batch * patches, channels * size * size]`, each patch in the order of a convolution's kernel.
///
/// # Panics
/// If `size` does not divide height and width or the sizes do not agree.
pub fn patches(workspace: &Workspace, pixels: &[f32], shape: [usize; 4], size: usize) -> Tensor {
    let [batch, channels, height, width] = shape;
    assert_eq!(pixels.len(), batch * channels * height * width);
    assert!(height % size == 0 && width % size == 0, "patches of {size} in {height} by {width}");
    let (down, across) = (height / size, width / size);
    let mut out = workspace.tensor(batch * down * across, channels * size * size);
    if size == 1 {
        let each = channels * height * width;
        for (image, out) in pixels.chunks_exact(each.max(1)).zip(out.chunks_exact_mut(each.max(1))) {
            for (channel, values) in image.chunks_exact(height * width).enumerate() {
                out.iter_mut().skip(channel).step_by(channels).zip(values).for_each(|(out, value)| *out = *value);
            }
        }
        return out;
    }
    let rows = out.chunks_exact_mut(channels * size * size);
    for (patch, row) in rows.enumerate() {
        let (image, position) = (patch / (down * across), patch % (down * across));
        let (top, left) = (position / across * size, position % across * size);
        for (line, values) in row.chunks_exact_mut(size).enumerate() {
            let (channel, y) = (line / size, line % size);
            let start = ((image * channels + channel) * height + top + y) * width + left;
            values.copy_from_slice(&pixels[start..start + size]);
        }
    }
    out
}
