from .config import DownloadConfig as DownloadConfig
from .config import ParseConfig as ParseConfig
from .downloading import check_download as check_download
from .downloading import download as download
from .parsing import parse as parse
