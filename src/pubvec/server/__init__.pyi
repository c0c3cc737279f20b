from .app import serve as serve
from .config import KEY_VARIABLE as KEY_VARIABLE
from .config import LimitsConfig as LimitsConfig
from .config import ServerConfig as ServerConfig
from .mcp import serve_http as serve_http
from .mcp import serve_stdio as serve_stdio
