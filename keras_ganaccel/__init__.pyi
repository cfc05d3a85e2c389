"""The public names and where they live: read by type checkers, editors, and at run time.

`lazy_loader` imports a name's module when the name is first used.
"""

__version__: str

from . import benchmarks as benchmarks

# The whole journey and its settings.
from .config import CompressionConfig as CompressionConfig
from .config import DataConfig as DataConfig
from .config import GanConfig as GanConfig
from .config import GateConfig as GateConfig
from .config import ModelConfig as ModelConfig
from .config import PoolConfig as PoolConfig
from .config import ReuseConfig as ReuseConfig
from .config import RunConfig as RunConfig
from .config import StudentConfig as StudentConfig
from .config import TeacherConfig as TeacherConfig
from .config_file import load_config as load_config
from .config import preset as preset
from .config import with_values as with_values
from .distribution import make_strategy as make_strategy
from .journey.accelerate import accelerate as accelerate
from .journey.progress import Progress as Progress
from .journey.result import AccelerationResult as AccelerationResult
from .report.ledger import Ledger as Ledger

# Data.
from .data.audit import Audit as Audit
from .modality.image.preprocess import signed_to_unit as signed_to_unit
from .modality.image.preprocess import unit_to_signed as unit_to_signed
from .data.labelled import LabelledData as LabelledData
from .modality.load import load_data as load_data
from .data.spec import Spec as Spec
from .modality.image.spec import DataSpec as DataSpec
from .modality.table.columns import Column as Column
from .modality.table.table_spec import TableSpec as TableSpec
from .data.split import Splits as Splits

# Classifiers, teachers, distillation.
from .classifier.build import build_classifier as build_classifier
from .classifier.distill import Distiller as Distiller
from .classifier.ensemble import Ensemble as Ensemble
from .classifier.held_out import Evidence as Evidence
from .classifier.imbalance import class_weights as class_weights
from .classifier.imbalance import logit_shifts as logit_shifts
from .classifier.imbalance import with_shifted_logits as with_shifted_logits
from .classifier.own_teacher import OwnTeacher as OwnTeacher
from .classifier.own_teacher import load_teacher as load_teacher
from .classifier.teacher import build_teacher as build_teacher
from .classifier.train import evaluate as evaluate
from .classifier.train import train_classifier as train_classifier
from .classifier.recipe import Recipe as Recipe
from .classifier.trainee import Trainee as Trainee
from .classifier.transfer import transfer_set as transfer_set
from .classifier.transfer_parts import TransferPart as TransferPart
from .classifier.transfer_set import TransferSet as TransferSet

# The conditional GAN.
from .gan.callbacks.distance import KIDCallback as KIDCallback
from .gan.callbacks.log import MetricsLog as MetricsLog
from .gan.callbacks.pictures import SampleGrid as SampleGrid
from .gan.callbacks.pictures import TensorBoardImages as TensorBoardImages
from .gan.callbacks.watchdog import Watchdog as Watchdog
from .gan.conditional_gan import ConditionalGAN as ConditionalGAN
from .gan.networks import build_discriminator as build_discriminator
from .gan.networks import build_generator as build_generator
from .gan.train import train_gan as train_gan
from .gan.trained import TrainedGenerator as TrainedGenerator

# How good generated samples are.
from .metrics.columns import ColumnScores as ColumnScores
from .metrics.columns import PairScores as PairScores
from .metrics.columns import TableScores as TableScores
from .metrics.columns import table_scores as table_scores
from .metrics.synthetic_only import synthetic_only_accuracy as synthetic_only_accuracy
from .metrics.features import FeatureExtractor as FeatureExtractor
from .metrics.features import train_feature_extractor as train_feature_extractor
from .metrics.frechet import frechet_distance as frechet_distance
from .metrics.kid import KernelDistance as KernelDistance
from .metrics.kid import kid as kid
from .metrics.importance import Importance as Importance
from .metrics.importance import permutation_importance as permutation_importance
from .metrics.memorization import memorization_report as memorization_report
from .metrics.proportions import PairedDifference as PairedDifference
from .metrics.proportions import paired_difference as paired_difference
from .metrics.prdc import prdc as prdc

# Pools of generated samples, their sources and filters, and the mixed stream.
from .generated.controls import NoiseSource as NoiseSource
from .generated.coverage import Disagreement as Disagreement
from .generated.coverage import LabelMixing as LabelMixing
from .generated.filters import ConfidenceBand as ConfidenceBand
from .generated.filters import Filter as Filter
from .generated.filters import NearDuplicates as NearDuplicates
from .generated.filters import TeacherAgreement as TeacherAgreement
from .generated.dataset import GeneratedDataset as GeneratedDataset
from .generated.dataset import LiveDataset as LiveDataset
from .generated.dataset import RefreshGenerated as RefreshGenerated
from .mixing.mix import mix_datasets as mix_datasets
from .generated.pool import PoolFacts as PoolFacts
from .generated.pool import write_pool as write_pool
from .generated.rejection import DensityRatio as DensityRatio
from .generated.rejection import DiscriminatorRejection as DiscriminatorRejection
from .generated.rejection import discriminator_score as discriminator_score
from .generated.sources import GanSource as GanSource
from .generated.sources import Generator as Generator
from .generated.sources import MixtureSource as MixtureSource
from .generated.sources import Source as Source
from .generated.sources import make_source as make_source
from .generated.row_source import RowLayout as RowLayout
from .generated.statistical import MixupSource as MixupSource
from .generated.statistical import PCAGaussian as PCAGaussian
from .generated.statistical import Smote as Smote
from .generated.tabular import ClassGaussian as ClassGaussian
from .generated.tabular import DonorRows as DonorRows
from .generated.tabular import Munge as Munge
from .generated.tabular import NoisyRows as NoisyRows
from .generated.tabular import SmoteNC as SmoteNC
from .generated.tabular import Spunge as Spunge

# Whether generated data help.
from .gate.arm_registry import ArmPlan as ArmPlan
from .gate.arm_registry import build_arm as build_arm
from .gate.arms import Arm as Arm
from .gate.compare import Score as Score
from .gate.decide import ArmResult as ArmResult
from .gate.decide import GateResult as GateResult
from .gate.decide import utility_gate as utility_gate
from .gate.headroom import Headroom as Headroom
from .gate.headroom import headroom as headroom
from .generated.candidates import Pool as Pool
from .gate.statistics import PairedTest as PairedTest
from .gate.statistics import holm_levels as holm_levels
from .gate.statistics import paired_test as paired_test

# Compression, export, verification.
from .compression.bridge.convert import to_tf_keras as to_tf_keras
from .compression.bridge.registry import register_translator as register_translator
from .compression.compress import Compressed as Compressed
from .export.artifact import Artifact as Artifact
from .export.artifact import Runner as Runner
from .export.c_array import export_c_array as export_c_array
from .export.front_end import export_front_end as export_front_end
from .export.inspect import FileFacts as FileFacts
from .export.inspect import TensorFacts as TensorFacts
from .export.inspect import inspect_tflite as inspect_tflite
from .export.kernels import KernelFacts as KernelFacts
from .export.latency import Latency as Latency
from .export.manifest import check_manifest as check_manifest
from .export.manifest import write_manifest as write_manifest
from .export.metadata import ArtifactMetadata as ArtifactMetadata
from .export.predict import predict as predict
from .export.predict import predict_files as predict_files
from .export.quiet import native_stderr_to_log as native_stderr_to_log
from .export.saved_model import export_saved_model as export_saved_model
from .export.scores import Scores as Scores
from .export.techniques import Candidate as Candidate
from .export.techniques import ParetoFront as ParetoFront
from .export.techniques import compress as compress
from .export.tflite import export_tflite as export_tflite
from .export.verify import Verification as Verification
from .export.verify import verify as verify

# Errors.
from .errors import CheckpointError as CheckpointError
from .errors import EquivalenceError as EquivalenceError
from .errors import GanAccelError as GanAccelError
from .errors import InvalidInputError as InvalidInputError
from .errors import MissingExtraError as MissingExtraError
from .errors import MissingFileError as MissingFileError
from .errors import RunFailedError as RunFailedError
from .errors import UnsafeModelError as UnsafeModelError
from .errors import UnsupportedLayerError as UnsupportedLayerError
from .errors import VerificationError as VerificationError
