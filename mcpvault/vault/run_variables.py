"""
Which environment variables a value from a vault may be handed over in.

Decides it for ``run_env`` and for whatever is asked for at ``mcpvault run``. Leaves handing over to
``mcpvault.upkeep.handing``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mcpvault.errors import ConfigurationError

# What makes a loader, an interpreter or a shell run something else: a value from a vault has no business there.
_BEGINNINGS = (
    *("LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "BASH_", "JAVA_", "_JAVA_", "JDK_", "GCONV_", "LUA_", "PHP"),
    *("GIT_CONFIG", "GIT_PROXY_", "GIT_SSL_", "GIT_TRACE", "NODE_REPL_", "BUNDLE_PATH", "BUNDLE_USER_", "BUNDLER_"),
    *("BUNDLE_BUILD__", "BUNDLE_LOCAL__", "BUNDLE_MIRROR__", "BUNDLE_SSL_", "DOTNET_STARTUP_HOOKS"),
    *("CLASSPATH", "OPENSSL_", "SSL_CERT_", "MAVEN_OPTS", "GEM_", "JULIA_", "R_PROFILE", "R_ENVIRON", "ERL_"),
    *("GOFLAGS", "RUSTC_", "TCLLIBPATH", "GUILE_LOAD", "GTK_MODULES", "QT_PLUGIN_PATH", "XDG_", "CURL_CA_BUNDLE"),
    *("REQUESTS_CA_BUNDLE", "MCPVAULT_", "CREDENTIALS_DIRECTORY"),
)
_NAMES = frozenset(
    "PATH HOME SHELL ENV IFS PS4 PROMPT_COMMAND SHELLOPTS EDITOR VISUAL PAGER LESSOPEN LESSCLOSE BROWSER TMPDIR LANG "
    "LOCPATH NLSPATH ZDOTDIR CDPATH GLIBC_TUNABLES MALLOC_CONF HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY "
    "FPATH SSH_ASKPASS SUDO_ASKPASS MAKEFLAGS VIMINIT EXINIT HOSTALIASES COMSPEC PATHEXT "
    "NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED NODE_COMPILE_CACHE NODE_V8_COVERAGE "
    "NODE_ICU_DATA NODE_USE_ENV_PROXY NODE_CHANNEL_FD NODE_REDIRECT_WARNINGS NODE_GYP_FORCE_PYTHON "
    "GIT_SSH GIT_SSH_COMMAND GIT_SSH_VARIANT GIT_EXEC_PATH GIT_EDITOR GIT_PAGER GIT_ASKPASS GIT_EXTERNAL_DIFF "
    "GIT_TEMPLATE_DIR GIT_SEQUENCE_EDITOR GIT_DIR GIT_COMMON_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY "
    "GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ALLOW_PROTOCOL GIT_PROTOCOL_FROM_USER GIT_ATTR_SOURCE "
    "GIT_CEILING_DIRECTORIES GIT_DISCOVERY_ACROSS_FILESYSTEM GIT_REDIRECT_STDIN GIT_REDIRECT_STDOUT "
    "GIT_REDIRECT_STDERR BUNDLE_GEMFILE BUNDLE_BIN BUNDLE_LOCKFILE BUNDLE_APP_CONFIG BUNDLE_CONFIG BUNDLE_PLUGINS "
    "BUNDLE_SHEBANG BUNDLE_BIN_PATH BUNDLE_CACHE_PATH BUNDLE_SYSTEM_BINDIR".split()
)
# npm takes every one of its options from here; only a few of them are credentials.
_NPM_OPTION = re.compile(r"NPM_CONFIG_(?!_|OTP\Z|KEY\Z|CERT\Z|.*TOKEN\Z|.*PASSWORD\Z).*")


def check_variable(variable: str, where: str = "") -> None:
    """
    Refuse a variable that steers a loader, an interpreter, a shell, or us.

    Raises:
        ConfigurationError: It does.
    """
    upper = variable.upper()
    if upper.startswith(_BEGINNINGS) or upper in _NAMES or _NPM_OPTION.fullmatch(upper):
        raise ConfigurationError(
            f"{where}{variable}: steers how programs are loaded or run, and is not set from a vault",
            hint="give the program its secret in a variable of another name",
        )


def check_run_env(name: str, run_env: object) -> None:
    """
    Refuse such a variable in *run_env*, the table of the entry *name*; its form is the schema's affair.

    Raises:
        ConfigurationError: There is one.
    """
    for variable in run_env if isinstance(run_env, Mapping) else ():
        check_variable(variable, f"servers.{name}.run_env.")
