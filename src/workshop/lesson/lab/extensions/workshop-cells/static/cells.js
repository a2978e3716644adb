// A JupyterLab extension without a build step: a cell that begins with %%dockerfile, %%terminal
// or %%file gets the colours of its own language. Otherwise a notebook has one language for all.
//
// JupyterLab loads an extension as a container of Module Federation: `init` receives the packages
// that JupyterLab shares, `get` gives the module. That is all a bundler would write here.
(() => {
  const FILES = [
    [/Dockerfile(\.[\w-]+)?$/, 'text/x-dockerfile'],
    [/\.sh$/, 'text/x-sh'],
    [/\.toml$/, 'text/x-toml'],
    [/\.ya?ml$/, 'text/x-yaml'],
    [/\.py$/, 'text/x-python']
  ];

  function language(source) {
    // What a cell needs says nothing about what it holds.
    const [first] = source.replace(/^%%needs .*\n/, '').split('\n', 1);
    const [magic, name] = first.split(' ');
    if (magic === '%%dockerfile') {
      return 'text/x-dockerfile';
    }
    if (magic === '%%terminal') {
      return 'text/x-sh';
    }
    if (magic === '%%file' && name) {
      return FILES.find(([pattern]) => pattern.test(name))?.[1] ?? 'text/plain';
    }
    return null;
  }

  function colour(model) {
    const wanted = language(model.sharedModel.getSource());
    if (wanted && model.mimeType !== wanted) {
      model.mimeType = wanted;
    }
  }

  function watch(panel) {
    const known = new WeakSet();
    const look = () => {
      for (const { model } of panel.content.widgets) {
        if (model.type === 'code' && !known.has(model)) {
          known.add(model);
          colour(model);
          // The kernel's answer sets the language of every cell; typing changes a first line.
          // Once the editor has followed the one change, it gets the other.
          model.mimeTypeChanged.connect(() => setTimeout(colour, 0, model));
          model.contentChanged.connect(colour);
        }
      }
    };
    panel.context.ready.then(() => {
      look();
      panel.content.model.cells.changed.connect(look);
    });
  }

  let shared;
  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB['workshop-cells'] = {
    init: packages => {
      shared = packages;
    },
    get: async () => {
      const [{ INotebookTracker }, { IEditorLanguageRegistry }] = await Promise.all(
        ['@jupyterlab/notebook', '@jupyterlab/codemirror'].map(async name => {
          const [version] = Object.values(shared[name]);
          return (await version.get())();
        })
      );
      const plugin = {
        id: 'workshop-cells:plugin',
        description: "Cells of Docker's languages in their own colours.",
        autoStart: true,
        requires: [INotebookTracker, IEditorLanguageRegistry],
        activate: async (app, tracker, languages) => {
          // An editor loads a language when it first needs it. Loaded before, none comes late
          // and takes the place of a newer one.
          const names = ['text/x-ipython', 'text/x-dockerfile', ...FILES.map(([, name]) => name)];
          await Promise.all(names.map(name => languages.getLanguage(name)));
          tracker.forEach(watch);
          tracker.widgetAdded.connect((_, panel) => watch(panel));
        }
      };
      return () => ({ __esModule: true, default: plugin });
    }
  };
})();
