//! What is computed on, and in what numbers.

/// What is computed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processor {
    /// The CPU.
    #[default]
    Cpu,
    /// The first of NVIDIA's GPUs.
    Cuda,
    /// Apple's GPU.
    Metal,
    /// A GPU where there is one, and else the CPU.
    Auto,
}

impl Processor {
    /// All of them.
    pub const ALL: [Processor; 4] = [Processor::Cpu, Processor::Cuda, Processor::Metal, Processor::Auto];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Processor::Cpu => "cpu",
            Processor::Cuda => "cuda",
            Processor::Metal => "metal",
            Processor::Auto => "auto",
        }
    }

    /// The one of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|processor| processor.name() == name)
    }
}

/// The numbers that a device computes in. The host's are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits with the range of f32.
    Bf16,
    /// 16 bits with a smaller range, in which small gradients vanish.
    F16,
}

impl Arithmetic {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Arithmetic::F32 => "f32",
            Arithmetic::Bf16 => "bf16",
            Arithmetic::F16 => "f16",
        }
    }
}
