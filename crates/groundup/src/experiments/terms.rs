//! The words that several experiments use.

use crate::language::{Words, words};

pub const ACCURACY: Words = words("accuracy", "정확도");
pub const ACTIVATION: Words = words("activation", "활성화값");
pub const BATCH: Words = words("batch", "미니배치");
pub const DATA: Words = words("data", "데이터");
pub const EPOCH: Words = words("epoch", "에폭");
pub const EPOCHS: Words = words("epochs", "에폭 수");
pub const INITIAL_WEIGHTS: Words = words("initial weights", "가중치의 초깃값");
pub const LEARNING_RATE: Words = words("learning rate", "학습률");
pub const LOSS: Words = words("loss", "손실");
pub const MOMENTUM: Words = words("momentum", "모멘텀");
pub const NETWORK: Words = words("network", "신경망");
pub const OPTIMIZER: Words = words("optimizer", "최적화 기법");
pub const SAMPLES: Words = words("training images", "훈련 데이터 수");
pub const SEED: Words = words("seed", "시드");
pub const SEEDS: Words = words("seeds", "시드");
pub const SHARE: Words = words("share", "비율");
pub const STEP: Words = words("step", "갱신 횟수");
pub const STEPS: Words = words("steps", "갱신 횟수");
pub const TEST_ACCURACY: Words = words("test accuracy", "시험 정확도");
pub const WEIGHT_DECAY: Words = words("weight decay", "가중치 감소");
