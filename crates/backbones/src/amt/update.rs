use crate::layers::{Conv2d, ConvPrelu, Filter, conv_of_windows, interpolate};
use crate::{BackboneError, Grid, Weights};

/// Below zero.
const LEAK: f32 = 0.1;

/// What correlations say that a feature and the flow should change by.
pub struct Update {
    correlation: ConvPrelu,
    flow: [ConvPrelu; 2],
    joined: ConvPrelu,
    state: (ConvPrelu, Conv2d),
    feature_head: (ConvPrelu, Conv2d),
    flow_head: (ConvPrelu, Conv2d),
    /// How many times as high and wide the feature is.
    scale: usize,
    radius: usize,
}

impl Update {
    pub fn load(weights: &Weights, channels: usize, scale: usize) -> Result<Self, BackboneError> {
        let plain = |name: &str, input: usize, published: usize, kernel: usize| {
            let channels = [input, weights.outputs(name, published)];
            Conv2d::load(&weights.at(name), channels, kernel, 1, kernel / 2)
        };
        let leaky = |conv: Conv2d| {
            let slope = vec![LEAK; conv.output()];
            ConvPrelu::new(conv, slope)
        };
        let pair = |name: &str, input: usize, output: usize| -> Result<_, BackboneError> {
            let first = leaky(plain(&format!("{name}.0"), input, 76, 3)?);
            let second = plain(&format!("{name}.2"), first.output(), output, 3)?;
            Ok((first, second))
        };
        let (correlation, radius) = conv_of_windows(&weights.at("convc1"), 2, 3, 64)?;
        let flow = leaky(plain("convf1", 4, 40, 7)?);
        let flow_out = leaky(plain("convf2", flow.output(), 20, 3)?);
        let joined = leaky(plain("conv", correlation.output() + flow_out.output(), 68, 3)?);
        let state = pair("gru", joined.output() + 4 + channels, 76)?;
        let hidden = state.1.output();
        Ok(Self {
            correlation: leaky(correlation),
            flow: [flow, flow_out],
            joined,
            feature_head: pair("feat_head", hidden, channels)?,
            flow_head: pair("flow_head", hidden, 4)?,
            state,
            scale,
            radius,
        })
    }

    /// Pixels that windows of correlations reach to each side.
    pub fn radius(&self) -> usize {
        self.radius
    }

    /// `feature [1, sH, sW, C]`, `flow [1, H, W, 4]` and correlations → what is added to the feature, and to the flow of its scale.
    pub fn forward(&self, feature: &Grid, flow: &Grid, correlation: &Grid) -> (Grid, Grid) {
        let correlation = self.correlation.forward(correlation);
        let of_flow = self.flow[1].forward(&self.flow[0].forward(flow));
        let joined = self.joined.forward(&Grid::join(&[&correlation, &of_flow]));
        let input = match self.scale {
            1 => Grid::join(&[&joined, flow, feature]),
            _ => Grid::join(&[&joined, flow, &resized(feature, [flow.height, flow.width])]),
        };
        let then = |(first, second): &(ConvPrelu, Conv2d), x: &Grid| second.forward(&first.forward(x));
        let state = then(&self.state, &input);
        let (of_feature, mut of_flow) = (then(&self.feature_head, &state), then(&self.flow_head, &state));
        if self.scale == 1 {
            return (of_feature, of_flow);
        }
        let size = [self.scale * flow.height, self.scale * flow.width];
        of_flow = resized(&of_flow, size);
        of_flow.data.iter_mut().for_each(|value| *value *= self.scale as f32);
        (resized(&of_feature, size), of_flow)
    }
}

fn resized(x: &Grid, size: [usize; 2]) -> Grid {
    interpolate(x, size, None, Filter::Bilinear { align_corners: false })
}
