//! The arguments of `reidctl score`.

use std::path::PathBuf;

#[derive(clap::Args)]
#[command(after_help = "\
Boxes are rows of MOTChallenge: frame,id,x,y,w,h[,confidence,...], as `reidpublish format=mot` writes them. The ground truth \
may also have rows of VATIC. With several cameras an id must be the same person in all of them: the last lines score the \
identities across cameras.\n
HOTA and IDF1 are those of TrackEval, MOTA, switches and fragments those of py-motmetrics, all in percent.\n
With --partial the ground truth labels only some people: in frames with true boxes, only the boxes that match one (IoU 0.5 \
or more) count. Results may then be JSON lines of `reidpublish`, whose ids are scored as first assigned and as corrected \
later.\n
Examples: reidctl score --gt truth/door truth/hall --result door.txt hall.txt\n          \
reidctl score --partial --rate 25 --gt gt/door.txt gt/hall.txt --result door.jsonl hall.jsonl --gallery people.json")]
pub struct Arguments {
    /// Ground truth of each camera: a file, a folder with `gt/gt.txt` or `gt.txt`, or a folder of such folders.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE|DIR")]
    pub gt: Vec<PathBuf>,
    /// Results: one file per camera in the same order, or one folder with `<camera>.txt`.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE|DIR")]
    pub result: Vec<PathBuf>,
    /// Names of the cameras, in the same order. Default: the names of the ground truth's files or folders.
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "NAME")]
    pub camera: Vec<String>,
    /// Size of the picture in pixels. Boxes whose centre is outside are ignored.
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    pub size: Option<Size>,
    /// The ground truth is partial: count only boxes that match a true one.
    #[arg(long, conflicts_with = "size")]
    pub partial: bool,
    /// Frames per second, to derive frame numbers of JSON lines from their timestamps.
    #[arg(long, requires = "partial", value_name = "FPS", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// Output of `reidctl gallery list --json` after the run, to follow its merges.
    #[arg(long, requires = "partial", value_name = "FILE")]
    pub gallery: Option<PathBuf>,
    /// Print JSON (scores from 0 to 1) instead of tables.
    #[arg(long)]
    pub json: bool,
}

/// Width and height of the picture, px.
#[derive(Clone, Copy)]
pub struct Size {
    pub width: f32,
    pub height: f32,
}

fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        text.parse::<f32>()
            .ok()
            .filter(|side| side.is_finite() && *side > 0.0)
    };
    text.split_once('x')
        .and_then(|(width, height)| {
            Some(Size {
                width: side(width)?,
                height: side(height)?,
            })
        })
        .ok_or_else(|| "write a size such as 1920x1080".into())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().ok();
    rate.filter(|rate| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| "write a number above 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_two_positive_numbers() {
        assert!(parse_size("1920x1080").is_ok());
        for bad in ["1920", "0x5", "-1x5", "axb", "nanx5"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_rate("29.97"), Ok(29.97));
        assert!(parse_rate("0").is_err() && parse_rate("inf").is_err());
    }
}
