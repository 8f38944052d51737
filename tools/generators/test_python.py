"""Makes the calls of the reference page with the Python client of swagger-codegen."""

import json
import os
import pathlib
import sys
import unittest

here = pathlib.Path(__file__).parent
sys.path.insert(0, str(here / "out" / "python"))

import swagger_client  # noqa: E402
from swagger_client.rest import ApiException  # noqa: E402

CONTOSO = "aa7cf840-9ca9-46a3-9778-9015d6580d50"
SLACK = "f1a2b3c4-d5e6-7890-abcd-ef1234567890"


class Page(unittest.TestCase):
    def setUp(self):
        configuration = swagger_client.Configuration()
        configuration.host = os.environ["CLIENTAPPS_URL"] + "/v2"
        client = swagger_client.ApiClient(configuration)
        # The generated client supports API keys and passwords, but not bearer tokens.
        client.set_default_header("Authorization", "Bearer demo-token")
        self.apps = swagger_client.AppsApi(client)

    def tearDown(self):
        self.apps.api_client.pool.terminate()
        self.apps.api_client.pool.join()

    def test_calls(self):
        for call in json.loads((here / "page.json").read_text()):
            with self.subTest(call["name"]):
                try:
                    # The generated models refuse null for required properties, so read the raw answer.
                    answer = self.apps.update_app(call["body"], CONTOSO, SLACK, _preload_content=False)
                except ApiException as refused:
                    self.assertEqual(refused.status, call["status"])
                    self.assertEqual(json.loads(refused.body)["error"]["message"], call["message"])
                else:
                    self.assertEqual(answer.status, call["status"])
                    self.assertEqual(json.loads(answer.data)["license_count"], call["license_count"])

    def test_models(self):
        patch = swagger_client.AppPatch(license_count=50)
        app = self.apps.update_app(patch, CONTOSO, SLACK)
        self.assertEqual(app.license_count, 50)
        self.assertEqual(app.catalog_app.canonical_name, "Slack")
        self.assertEqual(self.apps.get_app(CONTOSO, SLACK).license_count, 50)


if __name__ == "__main__":
    unittest.main()
