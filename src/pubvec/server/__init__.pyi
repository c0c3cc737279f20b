from .app import embed_server as embed_server
from .app import serve as serve
from .config import KEY_VARIABLE as KEY_VARIABLE
from .config import LimitsConfig as LimitsConfig
from .config import ServerConfig as ServerConfig
from .mcp_server import mcp as mcp
