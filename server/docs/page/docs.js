"use strict";

// "Try it out" fills in what a parameter or its schema has as an example. For an optional parameter that would be a filter,
// a cursor or a condition that nobody asked for, so there the example becomes a part of the description. Of named examples it
// fills in none: what must be there has the first of them.
function prepareExamples(contract) {
  const { parameters = {}, schemas = {} } = contract.components;
  const lists = Object.values(contract.paths).flatMap((path) => [path, ...Object.values(path)].map((o) => o.parameters ?? []));
  for (const parameter of [...Object.values(parameters), ...lists.flat()]) {
    if (parameter.required && parameter.examples) {
      parameter.example = Object.values(parameter.examples)[0].value;
      delete parameter.examples;
    }
    if (parameter.required || !parameter.schema) continue;
    const { $ref = "" } = parameter.schema;
    const { example: ofSchema, ...schema } = schemas[$ref.replace("#/components/schemas/", "")] ?? parameter.schema;
    const { example = Object.values(parameter.examples ?? {})[0]?.value ?? ofSchema, description = "" } = parameter;
    delete parameter.example;
    delete parameter.examples;
    parameter.schema = schema;
    if (example !== undefined) {
      parameter.description = `${description.trimEnd()} Example: \`${example}\``;
    }
  }
  return contract;
}

SwaggerUIBundle({
  url: "/openapi.json",
  domNode: document.getElementById("api"),
  plugins: [
    {
      statePlugins: {
        spec: {
          wrapActions: {
            updateJsonSpec: (update) => (contract) => update(prepareExamples(contract)),
          },
        },
      },
    },
  ],
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  // Asks no other host about the contract.
  validatorUrl: null,
});

const dark = matchMedia("(prefers-color-scheme: dark)");
function followColorScheme() {
  document.documentElement.classList.toggle("dark-mode", dark.matches);
}
dark.addEventListener("change", followColorScheme);
followColorScheme();
