"""Terms added to a model's loss, a file each; `base` is their contract."""

from models.regularisers.base import Regulariser
from models.regularisers.beta import Beta
from models.regularisers.capacity import Capacity
from models.regularisers.factor import Factor
from models.regularisers.info import Info
from models.regularisers.l2 import L2
from models.regularisers.matching import GAN, MMD, WGAN, PriorCritic
from models.regularisers.smoothing import Smoothing
from models.regularisers.total_correlation import TC

REGULARISERS: dict[str, type[Regulariser]] = {
    "beta": Beta,
    "capacity": Capacity,
    "tc": TC,
    "factor": Factor,
    "info": Info,
    "l2": L2,
    "smoothing": Smoothing,
    "mmd": MMD,
    "gan": GAN,
    "wgan": WGAN,
    "prior-critic": PriorCritic,
}
