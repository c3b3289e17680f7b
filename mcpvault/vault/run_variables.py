"""
Which environment variables a value from a vault may be handed over in.

Decides it for ``run_env`` and for whatever is asked for at ``mcpvault run``. Leaves handing over to
``mcpvault.upkeep.handing``. What a stdio server gets is not refused, but marked where a person approves its command.

A variable is refused where a loader, an interpreter, a shell, a build tool or a common program takes from it what it
loads or runs, or by which way its traffic goes. The address of a service (``DEMO_URL``) is an entry's own affair.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from mcpvault.errors import ConfigurationError

# Upper case; compiled when one is asked about.
_OURS = r"(?:MCPVAULT_|CREDENTIALS_DIRECTORY).*"
_STEERS = r"""
    # by what it is: of any program
      .*(?:HOME|DIRS?|LIBS?|FLAGS|OPT|OPTS|OPTIONS|COMMAND|EDITOR|PAGER|BROWSER|SHELL|ASKPASS|PROXY|WRAPPER)
    | .*_(?:ARGS|BIN|BINARY|CMD|EXEC|EXECUTABLE|HELPER|LAUNCHER|MODULES?|PLUGINS?|PRELOAD|PYTHON|RSH)
    | .*_(?:CA_BUNDLE|CA_CERTS?|CA_FILE) | (?:.*[A-Z0-9])?PATH(?:EXT)?
    | (?:.*_)?(?:BIN|CHROME|CLASS|COMPILER|DATA|DRIVERS?|EXEC|EXECUTABLE|EXTENSIONS?|IMPORT|INCLUDE|LAYER)_PATHS?
    | (?:.*_)?(?:LIB|LIBRARY|LOAD|MODULES?|PACKAGES?|PLUGINS?|PROVIDERS?|PROFILER|REMOTE|SEARCH|SHLIB|TM)_PATHS?
    | [A-Z0-9]+RC
    # loaders, the C library, sanitizers and profilers
    | (?:_?LD_|DYLD_|_RLD|GLIBC_|GCONV_|MALLOC_|LIBC_|LC_|NSS_|NSPR_|SASL_|P11_KIT_|PKCS11_).*
    | LANG | LANGUAGE | RES_OPTIONS | LOCALDOMAIN | HOSTALIASES | TERMINFO | TERMCAP | KRB5_CONFIG | LDAPCONF
    | CPUPROFILE | HEAPPROFILE | GCOV_PREFIX | LLVM_PROFILE_FILE | ICU_DATA | NODE_ICU_DATA
    # TLS, proxies and other ways that traffic goes
    | (?:OPENSSL_|SSL_CERT_|GRPC_DEFAULT_SSL_|SOCKS5?_|PROXYCHAINS_|TSOCKS_|.*_PROXY_).* | SSLKEYLOGFILE | CURL_.*
    | (?:DOCKER|BUILDKIT|CONTAINER)_HOST | DOCKER_CONFIG | DOCKER_CERT_PATH | SSH_AUTH_SOCK | SSH_SK_PROVIDER
    # shells, and what they and login set up
    | (?:BASH|ZSH_|KSH_|FISH_).* | ENV | IFS | PS[0-4] | SHELLOPTS | FCEDIT | HISTFILE | TMP | TEMP | XDG_.*
    | (?:DBUS_|DIRENV_|SYSTEMD_|PINENTRY_).* | LISTEN_FDS | LISTEN_PID | NOTIFY_SOCKET | GPG_AGENT_INFO
    | COMSPEC | WINDIR | SYSTEMROOT | SYSTEMDRIVE | HOMEDRIVE | APPDATA | LOCALAPPDATA | PROGRAMDATA | USERPROFILE
    # interpreters and virtual machines
    | (?:PYTHON|PERL|RUBY|IRB|JRUBY|PHP|TCL|TK_|LUA_|LUAROCKS_|R_|JULIA_|GUILE_|ERL_|ELIXIR_|MIX_|OCAML|CAML|OPAM).*
    | (?:_?JAVA_|JDK_|JRE_|_?JAVAC|CATALINA_|DOTNET_|CORECLR_|COR_|COMPLUS_|MONO_|ASPNETCORE_HOSTINGSTARTUP).*
    | (?:GHC(?!R_)|CABAL_|DENO_|BUN_|ELECTRON_|NW_|IPYTHON|JUPYTER_).*
    | (?:PYENV|RBENV|NODENV|NVM_|VOLTA_|ASDF_|MISE_|CONDA_|NIX_|GUIX_).*
    | NODE_(?:OPTIONS|PATH|EXTRA_CA_CERTS|TLS_REJECT_UNAUTHORIZED|COMPILE_CACHE|V8_COVERAGE|REPL_.*)
    | NODE_(?:USE_ENV_PROXY|CHANNEL_FD|REDIRECT_WARNINGS|GYP_FORCE_PYTHON|PENDING_.*)
    | VIRTUAL_ENV | STACK_(?:ROOT|YAML|CONFIG|WORK) | FLASK_APP | SWIPL | SBCL_.* | COVERAGE_(?:PROCESS_START|RCFILE)
    # package and build tools
    | (?:CARGO_|RUST_|RUSTC|RUSTDOC|RUSTUP|SCCACHE_|CCACHE_|DISTCC_|CMAKE_|PKG_CONFIG|ACLOCAL|MAVEN_|GRADLE_).*
    | (?:PIP_|UV_|POETRY_|PDM_|HATCH_|GEM_|COMPOSER_|YARN_|COREPACK_|NUGET_|SBT_|LEIN_|COURSIER_|BAZEL|CGO_).*
    | GO(?:ROOT|BIN|ENV|NOSUM.*|INSECURE|PRIVATE|SUMDB|TOOLCHAIN|CACHE.*|MODCACHE|AUTH|VCS|WORK|DEBUG|EXPERIMENT)
    | (?:HOST|BUILD|TARGET)?_?(?:CC|CXX|CPP|FC|F77|AR|AS|LD|NM|RANLIB|STRIP|OBJCOPY|MAKE|YACC|LEX) | MAKEFILES
    | GCC_EXEC_PREFIX | INCLUDE
    | NPM_CONFIG_(?!_|OTP\Z|KEY\Z|CERT\Z|.*TOKEN\Z|.*PASSWORD\Z).*
    | BUNDLE_(?:PATH|USER_|BUILD__|LOCAL__|MIRROR__|SSL_).* | BUNDLER_.*
    | BUNDLE_(?:GEMFILE|BIN|LOCKFILE|APP_CONFIG|CONFIG|SHEBANG|BIN_PATH|CACHE_PATH|SYSTEM_BINDIR)
    # version control
    | GIT_(?:CONFIG|SSL_|TRACE|TEST_|REDIRECT_|ALTERNATE_|CURL_|HTTP_).*
    | GIT_(?:SSH|SSH_VARIANT|EXTERNAL_DIFF|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY|ATTR_SOURCE|GRAFT_FILE|NAMESPACE)
    | GIT_(?:ALLOW_PROTOCOL|PROTOCOL_FROM_USER|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|SHALLOW_FILE|EXEC_PATH)
    | HG(?:MERGE|MODULEPOLICY)? | (?:CVS|SVN|BZR)_(?:RSH|SSH|MERGE) | P4(?:DIFF|MERGE|CONFIG|ENVIRO|PORT) | GH_PATH
    # editors, pagers, viewers, archivers and the rest that people run
    | VISUAL | LESS(?:OPEN|CLOSE|ECHO|KEYIN|KEY|KEY_SYSTEM|HISTFILE)? | MORE | (?:G?VIM|EX)INIT | VIMRUNTIME | NVIM_.*
    | EMACS.* | GZIP | BZIP | BZIP2 | UNZIP | XZ_DEFAULTS | RSYNC_CONNECT_PROG | TMUX.* | GDB.* | MAGIC | MAGICK_.*
    | (?:GTK|GIO_|GDK_|GST_|QT_|QML|LIBGL_|LIBVA_|MESA_|EGL_|MOZ_|ALSA_|FONTCONFIG_|VK_(?:ICD|LAYER|DRIVER)|OCL_ICD).*
    | TEXINPUTS | TEXMF.* | BIBINPUTS | GROFF_.* | ODBC.*INI | PGSERVICEFILE | TNS_ADMIN | DISPLAY
    # clouds
    | AWS_CONFIG_FILE | CLOUDSDK_(?:PYTHON|PROXY|API_ENDPOINT|CONFIG).* | TF_(?:CLI_|REATTACH_).* | ANSIBLE_.*
"""
# What one of these programs reads a credential from; nothing is loaded by it.
_CREDENTIALS = r"""
      (?!CARGO_.*ALIAS_).*_(?:TOKENS?|PASSWORD|PASSWD|PASSPHRASE|PASS|SECRET|KEY|CREDENTIALS?|USERNAME)(?:_FILE|_PATH)?
    | POETRY_PYPI_TOKEN_.* | YARN_NPM_AUTH_IDENT | COMPOSER_AUTH | HATCH_INDEX_AUTH | NETRC
    # an index of packages is given its password in its address
    | PIP_(?:EXTRA_)?INDEX_URL | UV_(?:EXTRA_|DEFAULT_)?INDEX(?:_URL)?
"""


def check_variable(variable: str, where: str = "") -> None:
    """
    Refuse a variable that steers a loader, an interpreter, a shell, another program, or us.

    Raises:
        ConfigurationError: It does.
    """
    if steers(variable) or _is(_OURS, variable.upper()):
        raise ConfigurationError(
            f"{where}{variable}: steers how programs are loaded, run or connected, and is not set from a vault",
            hint="give the program its secret in a variable of another name",
        )


def steers(variable: str) -> bool:
    """Tell whether some program takes from *variable* what it loads or runs, or by which way its traffic goes."""
    upper = variable.upper()
    return _is(_STEERS, upper) and not _is(_CREDENTIALS, upper)


def _is(pattern: str, variable: str) -> bool:
    return re.fullmatch(pattern, variable, re.VERBOSE | re.DOTALL) is not None


def check_run_env(name: str, run_env: object) -> None:
    """
    Refuse such a variable in *run_env*, the table of the entry *name*; its form is the schema's affair.

    Raises:
        ConfigurationError: There is one.
    """
    for variable in run_env if isinstance(run_env, Mapping) else ():
        check_variable(variable, f"servers.{name}.run_env.")
