# What JupyterLab's terminal reads when it opens. It is that of the chapter that began last.
if [ -f ~/.bashrc ]; then . ~/.bashrc; fi
if [ -f "$WORKSHOP_TERMINAL" ]; then . "$WORKSHOP_TERMINAL"; fi
